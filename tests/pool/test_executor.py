"""ProcessPoolExecutor: what it is made of, its end."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

import procession
from procession.pool.executor import ProcessPoolExecutor
from procession.testing.watch import eventually, identity, is_running, wait_gone

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


@pytest.mark.parametrize("method", [None, "zygote", "forkserver", "fork", "spawn"])
def test_every_start_method(executors: Make, method: str | None) -> None:
    executor = executors(2, None if method is None else procession.get_context(method))
    assert list(executor.map(pow, range(20), range(20))) == [number**number for number in range(20)]


def test_keywords_of_any_name(executor: ProcessPoolExecutor) -> None:
    assert executor.submit(lambda **given: given, self=1, fn=2, args=3).result(LIMIT) == {"self": 1, "fn": 2, "args": 3}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "max_tasks_per_child must be an integer"),
        ({"max_tasks_per_child": 1, "mp_context": procession.get_context("fork")}, ValueError, "incompatible with the 'fork'"),
        ({"initializer": "f"}, TypeError, "initializer must be a callable"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ProcessPoolExecutor(**options)


def test_to_make_one_starts_nothing() -> None:
    threads = set(threading.enumerate())
    executor = ProcessPoolExecutor(4)
    assert executor._processes == {}
    assert set(threading.enumerate()) <= threads
    executor.shutdown()


def test_many_small_tasks(executor: ProcessPoolExecutor) -> None:
    futures = [executor.submit(abs, -number) for number in range(5000)]
    assert [future.result(LIMIT) for future in futures] == list(range(5000))


def test_threads_share_it(executor: ProcessPoolExecutor) -> None:
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(list(executor.map(abs, range(200))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert found == [list(range(200))] * 4


# --- the end ---


def test_shutdown_waits_for_all(executors: Make) -> None:
    with executors(2) as executor:
        futures = [executor.submit(pow, number, 2) for number in range(200)]
    assert all(future.done() for future in futures)
    assert executor._processes == {}
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(abs, [1])
    executor.shutdown()


def test_shutdown_without_waiting(executor: ProcessPoolExecutor, doors: Any) -> None:
    future = executor.submit(doors.enter, 0, "done")
    doors.wait(0)
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    doors.let(0)
    assert future.result(LIMIT) == "done"
    eventually(lambda: executor._processes == {})


def test_shutdown_of_one_that_was_not_used() -> None:
    for wait in (True, False):
        executor = ProcessPoolExecutor(1)
        executor.shutdown(wait)
        assert executor._engine.over.is_set()


def test_a_cancelling_shutdown(executors: Make, doors: Any) -> None:
    executor = executors(1)
    running = executor.submit(doors.enter, 0, "ran")
    doors.wait(0)
    waiting = [executor.submit(abs, number) for number in range(100)]
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(waiting[-1].exception, LIMIT)
        eventually(lambda: executor._engine.collector._lead.held, LIMIT, "somebody who waits")
        executor.shutdown(wait=False, cancel_futures=True)
        assert isinstance(told.exception(LIMIT / 4), CancelledError)  # (at once, not when the next one ends)
    doors.let(0)
    executor.shutdown()
    assert running.result(LIMIT) == "ran"
    assert waiting[-1].cancelled()
    assert all(future.done() for future in waiting)


@pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
def test_ending_the_workers_ends_all(executor: ProcessPoolExecutor, doors: Any, how: str) -> None:
    futures = [executor.submit(doors.enter, door) for door in range(5)]
    doors.wait(0, 1)
    everyone = [who for who in map(identity, executor._processes) if who]
    getattr(executor, how)()
    for future in futures:
        with pytest.raises(BrokenProcessPool, match=how):
            future.result(LIMIT)
    wait_gone(everyone, LIMIT)
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)


def test_a_with_block_that_is_interrupted_ends_what_runs(executors: Make, doors: Any) -> None:
    began = time.monotonic()
    executor = executors(1)
    future = executor.submit(doors.enter, 0)
    doors.wait(0)
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert time.monotonic() - began < LIMIT / 2
    with pytest.raises(CancelledError):
        future.result(LIMIT)


def test_one_that_is_lost_does_what_it_has_and_ends(lines: Any) -> None:
    executor = ProcessPoolExecutor(1)
    future = executor.submit(lines.add, os.getpid())
    engine = executor._engine
    del executor
    gc.collect()
    assert future.result(LIMIT) is None
    assert engine.over.wait(LIMIT)
    assert len(lines.all()) == 1


@pytest.mark.parametrize("how", ["return", "raise", "exit"])
def test_the_end_of_the_program(program: Any, how: str) -> None:
    """It waits for the tasks; if it ends by an exception it does not."""
    end = {"return": "pass", "raise": "raise ValueError('the end')", "exit": "sys.exit(3)"}[how]
    done = program.run_script(f"""
        import sys, time
        import procession

        def work(number):
            time.sleep(60 if number < 0 else 0.01)
            return number

        if __name__ == "__main__":
            pool = procession.ProcessPoolExecutor(1)
            pool.submit(work, 0).result()
            future = pool.submit(work, -1 if {how!r} == "raise" else 5)
            future.add_done_callback(lambda future: print(future.exception() if not future.cancelled() else "cancelled"))
            {end}
    """)
    assert done.returncode == {"return": 0, "raise": 1, "exit": 3}[how]
    if how == "raise":
        assert done.stderr.splitlines()[-1] == "ValueError: the end"
    else:
        assert (done.stdout, done.stderr) == ("None\n", "")


def test_the_end_of_a_program_whose_task_hangs(program: Any) -> None:
    done = program.run_script("""
        import time
        import procession

        if __name__ == "__main__":
            pool = procession.ProcessPoolExecutor(1, exit_timeout=0.2)
            pool.submit(time.sleep, 60)
            pool.submit(abs, 1)
    """)
    assert done.returncode == 0
    assert "the program is done, its pool is not: ended 1 running tasks, of ProcessPoolExecutor-worker-1 (pid " in done.stderr


def test_a_stopped_worker_holds_up_its_own_task_only(executor: ProcessPoolExecutor, doors: Any) -> None:
    first = executor.submit(doors.enter, 0, "slept")
    doors.wait(0)
    (pid,) = executor._processes
    os.kill(pid, signal.SIGSTOP)
    try:
        assert [executor.submit(abs, -number).result(LIMIT) for number in range(20)] == list(range(20))
    finally:
        os.kill(pid, signal.SIGCONT)
    doors.let(0)
    assert first.result(LIMIT) == "slept"
    who = identity(pid)
    assert who is not None
    assert is_running(who)


def test_shutdown_when_all_that_waits_was_cancelled(executors: Make, doors: Any) -> None:
    """The last outcome finds tasks that wait, and none of them is to be run."""
    executor = executors(1)
    running = executor.submit(doors.enter, 0)
    doors.wait(0)
    waiting = [executor.submit(abs, number) for number in range(100)]
    assert all(future.cancel() for future in waiting)
    executor.shutdown(wait=False)
    doors.let(0)
    assert running.result(LIMIT) is None
    assert executor._engine.join(LIMIT)
