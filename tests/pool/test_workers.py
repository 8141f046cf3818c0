"""The workers of a pool: who they are, and how they come and go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession import InitializerFailed, WorkerDied, current_worker
from procession.pool import reusable
from procession.pool.executor import ProcessPoolExecutor
from procession.testing.watch import eventually, identity, is_running, wait_gone

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def who() -> tuple[int, int]:
    here = procession.current_worker()
    assert here is not None
    return here.id, os.getpid()


# --- who they are ---


def test_workers_have_numbers_and_a_state(executors: Make) -> None:
    def count() -> tuple[int, int, int]:
        here = current_worker()
        assert here is not None
        here.state["calls"] = here.state.get("calls", 0) + 1
        return here.id, here.state["calls"], here.tasks_done

    assert current_worker() is None
    executor = executors(1)
    assert [executor.submit(count).result(LIMIT) for _ in range(3)] == [(1, 1, 0), (1, 2, 1), (1, 3, 2)]
    assert executor.submit(lambda: repr(current_worker())).result(LIMIT).startswith("<worker 1, pid ")


def test_there_are_as_many_as_there_are_tasks(executors: Make, doors: Any) -> None:
    executor = executors(3)
    assert executor._processes == {}
    first = executor.submit(doors.enter, 0)
    doors.wait(0)
    assert len(executor._processes) == 1
    second = executor.submit(doors.enter, 1)
    doors.wait(1)
    assert len(executor._processes) == 2
    assert [process.name for process in executor._processes.values()] == [f"ProcessPoolExecutor-worker-{n}" for n in (1, 2)]
    doors.let(0, 1)
    assert (first.result(LIMIT), second.result(LIMIT)) == (None, None)


def test_a_start_that_fails_is_tried_again(executors: Make, doors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nobody submits anything meanwhile, and the worker that there is waits for what the other is to do."""
    executor = executors(2)
    first = executor.submit(doors.enter, 0)
    doors.wait(0)
    crew = executor._engine.crew
    start, failures = type(crew).start, [OSError(11, "no room"), OSError(11, "still none")]

    def fails(crew: Any) -> Any:
        if failures:
            raise failures.pop()
        return start(crew)

    monkeypatch.setattr(type(crew), "start", fails)
    second = executor.submit(doors.enter, 1)
    doors.wait(1)
    doors.let(0, 1)
    assert (first.result(LIMIT), second.result(LIMIT)) == (None, None)
    assert not failures


def test_a_pool_has_all_of_them_at_once(pools: Any) -> None:
    pool = pools(3)
    assert len(pool._pool) == 3
    assert all(process.daemon for process in pool._pool)


# --- initializer, exit function ---


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_the_initializer_runs_in_each_before_all_else(executors: Make, method: str) -> None:
    def begin(word: str) -> None:
        here = current_worker()
        assert here is not None
        here.state["word"] = word

    executor = executors(2, procession.get_context(method), begin, ("hello",))
    assert {executor.submit(lambda: current_worker().state["word"]).result(LIMIT) for _ in range(10)} == {"hello"}


def test_an_initializer_that_raises_breaks_the_pool(executors: Make, pools: Any) -> None:
    executor = executors(2, None, divmod, (1, 0))
    with pytest.raises(InitializerFailed, match="ZeroDivisionError"):
        executor.submit(abs, -1).result(LIMIT)
    with pytest.raises(InitializerFailed) as caught:
        executor.submit(abs, -1)
    assert type(caught.value.__cause__) is ZeroDivisionError
    assert executor._broken
    pool = pools(1, divmod, (1, 0))
    with pytest.raises(InitializerFailed):
        pool.map(abs, range(3))


def test_workers_that_die_at_once_break_the_pool_in_the_end(executors: Make) -> None:
    executor = executors(1, None, os._exit, (3,))
    with pytest.raises(InitializerFailed, match=r"5 workers died one after another .* exit code 3"):
        executor.submit(abs, -1).result(LIMIT)


def test_the_exit_function_runs_in_each_that_leaves(executors: Make, pools: Any) -> None:
    executor = executors(2, exit_function=lambda word: (word, os.getpid()), exit_args=("bye",))
    pids = {executor.submit(os.getpid).result(LIMIT)}
    assert executor.exit_results == []
    executor.shutdown()
    assert {("bye", pid) for pid in pids} <= set(executor.exit_results)
    pool = pools(2, exit_function=os.getpid)
    pids = {process.pid for process in pool._pool}
    pool.close()
    pool.join()
    assert set(pool.exit_results) == pids


def test_an_exit_function_that_raises_harms_nothing(executors: Make, capfd: Any) -> None:
    executor = executors(1, exit_function=divmod, exit_args=(1, 0))
    assert executor.submit(abs, -1).result(LIMIT) == 1
    executor.shutdown()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_cannot_be_called_is_refused_at_once() -> None:
    for options in ({"initializer": 5}, {"exit_function": 5}):
        with pytest.raises(TypeError, match="must be a callable"):
            procession.ProcessPoolExecutor(1, **options)
        with pytest.raises(TypeError, match="must be a callable"):
            procession.Pool(1, **options)


# --- relieving ---


def test_a_worker_is_relieved_after_so_many_tasks(executors: Make, pools: Any) -> None:
    executor = executors(1, max_tasks_per_child=3)
    pids = [executor.submit(os.getpid).result(LIMIT) for _ in range(9)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3]
    pool = pools(1, maxtasksperchild=2)
    pids = [pool.apply(os.getpid) for _ in range(6)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 2]


def test_its_successor_comes_first(executors: Make, doors: Any) -> None:
    executor = executors(1, max_tasks_per_child=1)
    last = executor.submit(doors.enter, 0)
    doors.wait(0)
    eventually(lambda: len(executor._processes) == 2, what="the successor is up")
    assert executor.submit(abs, -1).result(LIMIT) == 1
    doors.let(0)
    assert last.result(LIMIT) is None


def test_a_worker_that_has_grown_is_relieved(executors: Make) -> None:
    def grow(size: int) -> int:
        here = current_worker()
        assert here is not None
        here.state["ballast"] = b"x" * size
        return os.getpid()

    executor = executors(1, max_memory_per_child=1 << 28)
    small = executor.submit(grow, 1).result(LIMIT)
    assert executor.submit(grow, 1).result(LIMIT) == small
    old = identity(executor.submit(grow, 1 << 28).result(LIMIT))
    assert old is not None
    eventually(lambda: executor.submit(os.getpid).result(LIMIT) != small, LIMIT)
    wait_gone([old], LIMIT)


def test_a_worker_that_is_old_is_relieved(executors: Make) -> None:
    executor = executors(1, max_age_per_child=0.05)
    old = identity(executor.submit(os.getpid).result(LIMIT))
    assert old is not None
    eventually(lambda: executor.submit(os.getpid).result(LIMIT) != old.pid, LIMIT)
    wait_gone([old], LIMIT)


# --- dying ---


def test_a_death_takes_one_task_and_brings_another_worker(executors: Make, doors: Any) -> None:
    executor = executors(2)
    victim, other = executor.submit(doors.enter, 0), executor.submit(doors.enter, 1, "unharmed")
    doors.wait(0, 1)
    numbers = {process.name: pid for pid, process in executor._processes.items()}
    rest = [executor.submit(abs, -number) for number in range(20)]
    os.kill(numbers["ProcessPoolExecutor-worker-1"], signal.SIGKILL)
    with pytest.raises(WorkerDied) as caught:
        first_that_fails(victim, other).result()
    assert (caught.value.signal, caught.value.pid) == ("SIGKILL", numbers["ProcessPoolExecutor-worker-1"])
    assert caught.value.task == "Doors.enter" or caught.value.task is None
    doors.let(0, 1)
    assert [future.result(LIMIT) for future in rest] == list(range(20))


def first_that_fails(*futures: Any) -> Any:
    done, _ = procession.wait(futures, LIMIT, procession.FIRST_COMPLETED)
    (failed,) = done
    return failed


def test_an_idle_worker_that_dies_is_missed_by_nobody(executors: Make, pools: Any) -> None:
    executor = executors(1)
    pid = executor.submit(os.getpid).result(LIMIT)
    os.kill(pid, signal.SIGKILL)
    assert executor.submit(os.getpid).result(LIMIT) != pid
    pool = pools(2)
    before = {process.pid for process in pool._pool}
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len({process.pid for process in pool._pool} - {min(before)}) == 2)
    assert pool.map(abs, [-1]) == [1]


def test_workers_that_have_worked_may_be_killed_for_ever(executors: Make) -> None:
    """Only those that die before they did anything are counted against the pool."""
    executor = executors(1)
    for _ in range(8):
        pid = executor.submit(os.getpid).result(LIMIT)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in executor._processes)  # noqa: B023


# --- how many ---


def test_resize(executors: Make, doors: Any) -> None:
    executor = executors(1)
    first = [executor.submit(doors.enter, door) for door in (0, 1)]
    doors.wait(0)
    assert not doors.here[1].is_set()
    executor.resize(2)
    doors.wait(1)
    executor.resize(1)
    doors.let(0, 1)
    assert [future.result(LIMIT) for future in first] == [None, None]
    eventually(lambda: len(executor._processes) == 1)
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_resize_of_a_pool(pools: Any) -> None:
    pool = pools(1)
    pool.resize(3)
    eventually(lambda: len(pool._pool) == 3)
    pool.resize(2)
    eventually(lambda: len(pool._pool) == 2)
    assert pool.map(abs, range(5)) == list(range(5))


@pytest.mark.parametrize("number", [0, -1])
def test_none_is_too_few(executors: Make, pools: Any, number: int) -> None:
    for refused in (executors, executors(1).resize):
        with pytest.raises(ValueError, match="greater than 0"):
            refused(number)
    for refused in (procession.Pool, pools(1).resize):
        with pytest.raises(ValueError, match="at least 1"):
            refused(number)


# --- idle ---


def test_idle_workers_leave_and_others_come(executors: Make) -> None:
    executor = executors(2, idle_timeout=0.1, exit_function=os.getpid)
    pids = set(executor.map(lambda _: os.getpid(), range(20)))
    gone = [found for found in map(identity, pids) if found]
    wait_gone(gone, LIMIT)
    eventually(lambda: executor._processes == {})
    assert pids <= set(executor.exit_results)
    assert executor.submit(os.getpid).result(LIMIT) not in pids


def test_busy_workers_do_not_leave(executors: Make, doors: Any) -> None:
    executor = executors(1, idle_timeout=0.05)
    future = executor.submit(doors.enter, 0)
    doors.wait(0)
    with pytest.raises(TimeoutError):
        future.result(0.2)
    assert len(executor._processes) == 1
    doors.let(0)
    assert future.result(LIMIT) is None


def test_tasks_that_come_while_workers_leave_are_done(executors: Make) -> None:
    executor = executors(2, idle_timeout=0.001)
    for number in range(100):
        assert executor.submit(abs, -number).result(LIMIT) == number
        if number % 10 == 0:
            time.sleep(0.002)  # (about as long as it takes to be told to leave)


# --- one for all ---


@pytest.fixture
def shared() -> Any:
    yield reusable.get_reusable_executor
    if reusable._pool is not None:
        reusable._pool.shutdown()
    reusable._pool = None


def test_the_reusable_one_is_used_again(shared: Any) -> None:
    one = shared(2)
    assert one.submit(abs, -1).result(LIMIT) == 1
    assert shared(2) is shared() is one
    assert shared(3) is one
    assert one._max_workers == 3
    other = shared(2, threads_per_worker=1)
    assert other is not one
    with pytest.raises(RuntimeError, match="after shutdown"):
        one.submit(abs, -1)
    other.shutdown()
    assert shared(2, threads_per_worker=1) is not other


# --- forks ---


def in_fork(function: Callable[[], object]) -> str:
    """What it raises in a forked child, in words; what it returns, if nothing."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = repr(function())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answer = file.read()
    os.waitpid(pid, 0)
    return answer


def test_a_pool_is_of_no_use_in_a_forked_child_and_says_so(executor: ProcessPoolExecutor, pool: Any, doors: Any) -> None:
    future = executor.submit(doors.enter, 0, "for the parent")
    doors.wait(0)
    for use in (
        lambda: executor.submit(abs, -1), lambda: executor.map(abs, [1]), lambda: pool.map(abs, [1]),
        lambda: pool.apply_async(abs, (1,)), lambda: executor.resize(1), future.result,
    ):  # fmt: skip
        assert in_fork(use).startswith("RuntimeError: this pool belongs to")
    doors.let(0)
    assert future.result(LIMIT) == "for the parent"


def test_what_a_child_ends_is_not_the_parents(executor: ProcessPoolExecutor, pool: Any) -> None:
    def function(number: int) -> int:
        return number + 1

    iterator = executor.map(function, range(1000))
    assert next(iterator) == 1

    def end_all() -> None:
        nonlocal function, iterator
        iterator.close()  # type: ignore[attr-defined]
        del function, iterator
        executor.shutdown()
        executor.kill_workers()
        pool.terminate()
        pool.close()
        pool.join()

    assert in_fork(end_all) == "None"
    assert list(iterator) == list(range(2, 1001))
    assert executor.submit(function, 1).result(LIMIT) == 2
    assert pool.map(abs, [-1, -2]) == [1, 2]


def test_a_child_makes_a_pool_of_its_own(executor: ProcessPoolExecutor) -> None:
    executor.submit(abs, -1).result(LIMIT)

    def own() -> int:
        with procession.ProcessPoolExecutor(1) as mine:
            found: int = mine.submit(abs, -5).result(LIMIT)
            return found

    assert in_fork(own) == "5"
    assert executor.submit(abs, -2).result(LIMIT) == 2


def test_none_is_left_after_shutdown(executors: Make) -> None:
    executor = executors(2)
    pids = set(executor.map(lambda _: os.getpid(), range(10)))
    everyone = [identity(pid) for pid in pids]
    executor.shutdown()
    assert not any(found is not None and is_running(found) for found in everyone)
