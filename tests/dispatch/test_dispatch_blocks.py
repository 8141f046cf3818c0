"""What blocks do with queues, in the workers: the same as the program does; and no block waits for itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest
from gates import LIMIT, concurrent_, serial

import procession
from procession import DispatchGroup, DispatchQueue, ProcessPoolExecutor, WorkerDied, dispatch, global_queue
from procession.testing.watch import eventually
from spans import same

# --- submitting ---


def test_in_a_block_a_queue_is_the_same_queue() -> None:
    queue, other = serial(), concurrent_()
    assert queue.sync(lambda: queue) is queue
    assert queue.sync(lambda: (queue.name, queue.width, other.concurrent, "of process" in repr(queue))) == (
        "serial", 1, True, True,
    )  # fmt: skip
    assert queue.sync(lambda: other.sync(os.getpid) != os.getpid())
    assert queue.with_options(name="x").sync(lambda: queue.with_options(retries=2)._options.retries) == 2


def test_async_and_sync_from_blocks() -> None:
    queue, other = serial("a"), serial("b")

    def block(other: DispatchQueue) -> list[Any]:
        futures = [other.async_(same, i) for i in range(100)]
        values = [future.result(LIMIT) for future in futures]
        return [values == list(range(100)), other.sync(divmod, 7, 2), other.apply(3, lambda i: i + 1)]

    assert queue.sync(block, other) == [True, (3, 1), [1, 2, 3]]


def test_what_a_block_submits_to_its_own_queue_comes_after_it() -> None:
    queue, out = serial(), procession.SimpleQueue()

    def block(n: int) -> None:
        if n:
            queue.async_(block, n - 1)
        out.put(n)

    queue.sync(block, 20)
    assert [out.get() for _ in range(21)] == list(range(20, -1, -1))


def test_errors_come_back(gate: Any) -> None:
    queue, other = serial(), concurrent_()

    def block() -> list[str]:
        found = []
        for what in (lambda: other.sync(divmod, 1, 0), lambda: other.sync(3),  # type: ignore[arg-type]
                     lambda: other.sync(lambda: (x for x in ())), lambda: other.sync(same, (x for x in ())),
                     lambda: other.sync(os._exit, 3), lambda: other.sync(same, 1)):  # fmt: skip
            try:
                found.append(what())
            except Exception as error:
                found.append(type(error).__name__)
        return found

    assert queue.sync(block) == ["ZeroDivisionError", "TypeError", "TypeError", "TypeError", "WorkerDied", 1]
    other.close()
    with pytest.raises(RuntimeError, match="closed"):
        queue.sync(lambda: other.sync(same, 1))


def test_errors_name_the_function_that_was_called() -> None:
    queue, other = serial(), serial()

    def message(what: Callable[[], Any]) -> str:
        try:
            return str(what())
        except Exception as error:
            return str(error)

    def dies(i: int) -> None:
        os._exit(3)

    def block() -> list[str]:
        limited = other.with_options(timeout=0.01)
        calls: list[Callable[[], Any]] = [
            lambda: other.sync(dies, 3), lambda: other.apply(1, dies), lambda: limited.sync(time.sleep, 60),
        ]  # fmt: skip
        return [message(call) for call in calls]

    died, died_too, late = queue.sync(block)
    assert "dies" in died
    assert "dies" in died_too
    assert "the task sleep " in late


def test_big_things_pass() -> None:
    queue, other = serial(), concurrent_()
    assert queue.sync(lambda: len(other.sync(same, b"x" * 300_000))) == 300_000


def test_futures_in_blocks() -> None:
    queue, other, slow = serial("a"), serial("b"), serial("c")

    def block() -> list[Any]:
        found: list[Any] = []
        came = threading.Event()
        future = other.async_(same, 1)
        future.add_done_callback(lambda future: (found.append(future.result()), came.set()))
        came.wait(LIMIT)
        future = slow.async_(time.sleep, 60)
        try:
            future.result(0.01)
        except TimeoutError:
            found.append("timeout")
        found += [future.done(), future.cancel(), future.cancelled(), slow.sync(same, 2)]
        both = [other.async_(same, i) for i in range(2)]
        found.append(len(concurrent.futures.wait(both, LIMIT).done))
        found.append(len(procession.wait([other.async_(same, i) for i in range(2)], LIMIT).done))
        later = other.after(0.01, same, "later")
        found.append(later.result(LIMIT))
        return found

    assert queue.sync(block) == [1, "timeout", False, True, True, 2, 2, 2, "later"]


def test_threads_of_a_block_wait_side_by_side() -> None:
    queue, other = serial("a"), concurrent_("b")

    def block() -> bool:
        values: list[int] = []
        threads = [threading.Thread(target=lambda i=i: values.append(other.sync(same, i))) for i in range(8)]  # type: ignore[misc]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(values) == list(range(8))

    assert queue.sync(block)


def test_suspended_from_a_block() -> None:
    queue, other = serial("a"), serial("b")
    queue.sync(other.suspend)
    future = other.async_(same, 1)
    assert queue.sync(lambda: other.async_(same, 2).done()) is False
    queue.sync(other.resume)
    assert future.result(LIMIT) == 1
    for call in (other.close, other.join):
        with pytest.raises(RuntimeError, match="belongs to process"):
            queue.sync(call)


def test_workers_that_wait_keep_no_others_from_working() -> None:
    queue = global_queue()

    def deep(n: int) -> int:
        return 0 if n == 0 else queue.sync(deep, n - 1) + 1

    assert queue.sync(deep, 5) == 5
    assert len(queue._engine.crew.members) <= 6


def test_elsewhere_it_is_refused(program: Any) -> None:
    queue = serial()
    data = pickle.dumps(queue)
    assert pickle.loads(data) is queue
    with ProcessPoolExecutor(1) as executor:
        error = executor.submit(queue.sync, same, 1).exception(LIMIT)
    assert isinstance(error, RuntimeError)
    assert f"the queue 'serial' belongs to process {os.getpid()}" in str(error)


def test_a_fork_of_the_program_cannot_use_it(program: Any) -> None:
    """(In a program of its own: what a dead fork had is given back when somebody looks for it.)"""
    code = """
        import os, warnings
        import procession
        warnings.simplefilter("ignore")
        queue = procession.DispatchQueue("serial")
        assert queue.sync(abs, -1) == 1
        pid = os.fork()
        if pid == 0:
            try:
                queue.sync(abs, 1)
            except RuntimeError as error:
                os._exit(7 if "belongs to process" in str(error) else 8)
            os._exit(9)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = program.run_script(code)
    assert (done.stdout, done.stderr, done.returncode) == ("7\n", "", 0)


# --- deaths ---


def test_a_block_that_dies_while_it_waits(gate: Any) -> None:
    queue, other = serial("a"), serial("b")
    pid = procession.SimpleQueue()

    def block() -> None:
        pid.put(os.getpid())
        other.sync(gate.enter, 1)

    future = queue.async_(block)
    gate.wait()
    assert queue._engine.guests.waits.workers() == 1
    os.kill(pid.get(), signal.SIGKILL)
    assert isinstance(future.exception(LIMIT), WorkerDied)
    assert queue._engine.guests.waits.workers() == 0
    gate.open.set()
    assert other.sync(same, 2) == 2
    assert queue.sync(lambda: other.sync(same, 3)) == 3


def test_a_block_that_waits_and_is_stopped_cancels_what_it_waits_for(gate: Any) -> None:
    queue, other = serial("a"), serial("b")
    future = queue.async_(lambda: other.sync(time.sleep, 60))
    second = queue.async_(lambda: other.sync(gate.enter))
    while not queue._engine.guests.waits.workers():
        time.sleep(0.001)
    assert future.cancel()
    gate.wait()  # (so `other` has got on)
    gate.open.set()
    second.result(LIMIT)
    with pytest.raises(CancelledError):
        future.result(0)


def test_a_block_that_is_tried_again_from_a_block(tmp_path: Any) -> None:
    queue, other = serial("a"), serial("b")
    path = str(tmp_path / "died")

    def die_once() -> int:
        if not os.path.exists(path):
            with open(path, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return 5

    assert queue.sync(lambda: other.with_options(retries=1).sync(die_once)) == 5


def test_with_one_worker_whatever_a_block_waits_by() -> None:
    with ProcessPoolExecutor(1) as executor:
        queue, other = serial("a", executor=executor), serial("b", executor=executor)

        def block() -> list[Any]:
            futures = [other.async_(same, i) for i in range(2)]
            return [len(concurrent.futures.wait(futures[:1]).done), len(procession.wait(futures[1:]).done),
                    other.async_(same, 5).result(), other.sync(same, 6)]  # fmt: skip

        assert queue.sync(block) == [1, 1, 5, 6]


def test_with_one_worker_groups_in_blocks_are_waited_for(gate: Any) -> None:
    with ProcessPoolExecutor(1) as executor:
        queue, other = serial("a", executor=executor), serial("b", executor=executor)

        def group_of(count: int) -> DispatchGroup:
            group = DispatchGroup()
            for i in range(count):
                group.async_(other, same, i)
            return group

        def not_in_time() -> bool:
            with DispatchGroup() as group:
                group.async_(other, gate.enter)
                try:
                    return group.wait(0.01)
                finally:
                    gate.open.set()

        async def block() -> list[Any]:
            return [await group_of(3), await group_of(3).wait_async(LIMIT)]

        assert queue.sync(lambda: [group_of(3).wait(LIMIT), len(procession.wait([group_of(3)], LIMIT).done)]) == [True, 1]
        assert queue.sync(block) == [True, True]
        assert queue.sync(not_in_time) is False
        assert other.sync(same, 1) == 1
        eventually(lambda: not executor._engine.guests.waits.workers(), LIMIT, "no waits")


def test_coroutines_await_blocks() -> None:
    with ProcessPoolExecutor(1) as executor:
        queue, other = serial("a", executor=executor), serial("b", executor=executor)

        async def block() -> list[Any]:
            futures = [other.async_(same, i) for i in range(3)]
            values = [await futures[0], *await asyncio.gather(*[future.result_async() for future in futures])]
            with contextlib.suppress(TimeoutError):
                await other.async_(time.sleep, 60).result_async(0.01)
            error = await other.async_(divmod, 1, 0).exception_async()
            return [values, type(error)]

        assert queue.async_(block).result(LIMIT) == [[0, 0, 1, 2], ZeroDivisionError]
        assert executor.submit(block).result(LIMIT) == [[0, 0, 1, 2], ZeroDivisionError]


def test_a_block_has_queues_of_its_own() -> None:
    queue = serial()

    def block() -> list[int]:
        with DispatchQueue("own", True) as own:
            values = own.apply(5, lambda i: i * i)
        dispatch.shutdown()
        return values

    assert queue.sync(block) == [0, 1, 4, 9, 16]


GLOBALS = """
    from procession import DispatchQueue

    FIVE = 5
    def leaf(x): return FIVE + x
    class Kept:
        def __init__(self): self.five = FIVE
    def forms(queue):
        group = queue.group()
        futures = [queue.async_(leaf, 1), queue.after(0, leaf, 2), group.async_(queue, leaf, 3), group.notify(queue, leaf, 4)]
        return [f.result() for f in futures], queue.sync(leaf, 5), queue.apply(2, leaf), type(queue.sync(Kept)).__name__
    async def awaits(queue):
        return FIVE, await queue.async_(leaf, 1)

    queue, other = DispatchQueue("one"), DispatchQueue("other")
    print(queue.sync(forms, other))
    print(queue.sync(awaits, other))
"""


def test_the_globals_of_a_script_go_with_what_a_block_submits(program: Any) -> None:
    """Also those of a script that does not guard its start, and cannot be run in a worker."""
    done = program.run_script(GLOBALS)
    assert (done.stdout, done.stderr) == ("([6, 7, 8, 9], 10, [5, 6], 'Kept')\n(5, 6)\n", "")


async def counted(n: int) -> int:
    """How many of these are under way."""
    counted.now = getattr(counted, "now", 0) + 1  # type: ignore[attr-defined]
    try:
        await asyncio.sleep(0.001)
        return n * counted.now  # type: ignore[attr-defined, no-any-return]
    finally:
        counted.now -= 1  # type: ignore[attr-defined]


async def refuse(n: int) -> int:
    if n == 2:
        raise ValueError(n)
    return n


def submits_coroutines(queue: DispatchQueue) -> Any:
    return queue.sync(counted, 1), queue.async_(counted, 2).result(LIMIT), queue.apply(20, counted)


def test_coroutine_functions_are_blocks_of_blocks_too() -> None:
    queue = serial("other")
    assert serial().sync(submits_coroutines, queue) == (1, 2, list(range(20)))


@pytest.mark.parametrize("make", [serial, concurrent_])
def test_apply_awaits_one_after_another(make: Callable[[], DispatchQueue]) -> None:
    queue = make()
    assert queue.apply(40, counted) == list(range(40))
    with pytest.raises(ValueError, match="2"):
        queue.apply(40, refuse)
    assert queue.sync(same, [1]) == [1]
