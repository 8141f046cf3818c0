"""Pools and streams that nobody has any more, found by the garbage collector wherever that is at work."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from stations import LIMIT, Doors

import procession
from procession.core import callers
from procession.pool import future
from procession.testing.watch import eventually

#: What is dropped, its pool, how to submit to that, and whether what is dropped is over.
Case = tuple[Any, Any, Callable[..., Any], Callable[[], bool]]


class Garbage:
    """What only the garbage collector can find."""

    def __init__(self, thing: Any) -> None:
        self.me, self.thing = self, thing


@pytest.fixture(autouse=True)
def nobody_else_collects() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fetched(future: Any) -> Any:
    return future.result(LIMIT) if hasattr(future, "result") else future.get(LIMIT)


def an_executor() -> Case:
    made = procession.ProcessPoolExecutor(1)
    return made, made._engine, made.submit, made._engine.over.is_set


def a_pool() -> Case:
    made = procession.Pool(1)
    return made, made._engine, lambda *call: made.apply_async(call[0], call[1:]), made._engine.over.is_set


def a_stream() -> Case:
    pool = procession.Pool(1)
    made = pool.imap(abs, range(100_000))
    assert next(made) == 0
    stream = made._stream
    return made, pool._engine, lambda *call: pool.apply_async(call[0], call[1:]), lambda: stream.closed and pool is not None


def a_map() -> Case:
    pool = procession.ProcessPoolExecutor(1)
    results = pool.map(abs, range(100_000))
    made, stream = iter(results), results._stream
    assert next(made) == 0
    return made, pool._engine, lambda *call: pool.submit(*call), lambda: stream.closed and pool is not None


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
@pytest.mark.parametrize("make", [an_executor, a_pool, a_stream, a_map])
def test_found_while_locks_are_held(make: Callable[[], Case], doors: Doors) -> None:
    """Whoever looks for garbage may be within any lock: of a future, for instance, which the pool waits for."""
    thing, engine, submit, is_over = make()
    future = submit(doors.enter, 0, 7)
    garbage = Garbage(thing)
    del thing, submit
    doors.wait(0)

    def is_taken() -> bool:
        if engine.lock.acquire(blocking=False):
            engine.lock.release()
            return False
        return True

    with future._condition:
        doors.let(0)
        eventually(is_taken, LIMIT, "who collects, with the pool's lock")
        del garbage
        gc.collect()
        assert not is_over()
    assert fetched(future) == 7
    eventually(is_over, LIMIT, "an end")
    engine.end("kill", None)
    assert engine.join(LIMIT)


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
@pytest.mark.parametrize("make", [an_executor, a_pool])
def test_dropped_with_a_task(make: Callable[[], Case], doors: Doors) -> None:
    """An executor's is done; a pool's workers are ended, with what they have."""
    thing, engine, submit, is_over = make()
    future = submit(doors.enter, 0, 7)
    doors.wait(0)
    del thing, submit
    if make is an_executor:
        doors.let(0)
        assert fetched(future) == 7
    eventually(is_over, LIMIT, "an end")
    assert future.done() if make is an_executor else future.ready()
    assert engine.join(LIMIT)


def test_found_while_a_future_is_made_ready_for_others() -> None:
    """What ends with a pool is a block whose time has not come; who waits for that is not told in the finalizer."""
    pool = procession.ProcessPoolExecutor(1)
    queue = procession.DispatchQueue("later", executor=pool)
    block = queue.after(LIMIT, abs, -1)
    garbage = Garbage((pool, queue))
    del pool, queue
    with future._making:
        del garbage
        gc.collect()
        assert not block.done()
    with pytest.raises(CancelledError):
        block.result(LIMIT)


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
@pytest.mark.parametrize("ended", [False, True])
def test_found_while_a_call_is_ordered(ended: bool) -> None:
    """The end of a stream is told to its progress function, also when the pool is over and nobody collects any more."""
    told: list[int] = []
    pool = procession.Pool(1)
    results = pool.imap(abs, range(100_000), progress=lambda done, _: told.append(done))
    assert next(results) == 0
    stream, garbage = results._stream, Garbage(results)
    del results
    if ended:
        pool.terminate()
        pool.join()
    with callers._callers._lock:
        del garbage
        gc.collect()
    eventually(lambda: stream.closed, LIMIT, "an end")
    pool.terminate()
    pool.join()
