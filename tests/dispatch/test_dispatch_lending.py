"""Blocks that wait let others work meanwhile: as long as any of their threads waits, and for what comes later, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from gates import LIMIT

import procession
from procession import DispatchQueue, ProcessPoolExecutor
from procession.testing.watch import eventually


def heard_by(queue: DispatchQueue) -> None:
    """All that this block has said is known to the program."""
    queue.suspend()
    queue.resume()


def is_asleep() -> bool:
    """Whether the main thread is where it waits: for a group, in a loop, among others."""
    frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
    found = set()
    while frame is not None:
        found.add((os.path.basename(frame.f_code.co_filename), frame.f_code.co_name))
        frame = frame.f_back
    return bool(found & {("group.py", "wait"), ("selectors.py", "select"), ("watch.py", "sleep")})


def waits_twice(queue: DispatchQueue, go: Any, gone: Any) -> int:
    future = queue.async_(abs, -7)

    def another() -> None:
        procession.wait([future, go], return_when="FIRST_COMPLETED")
        heard_by(queue)
        gone.set()

    threading.Thread(target=another).start()
    return future.result(LIMIT)  # type: ignore[no-any-return]


def waits_for_what_comes(queue: DispatchQueue, go: Any, gone: Any, wait: Callable[[Any], Any]) -> Any:
    group = queue.group()
    group.enter()

    def another() -> None:
        eventually(is_asleep, LIMIT, "a wait")
        group.async_(queue, abs, -7)
        heard_by(queue)
        group.leave()
        gone.set()

    threading.Thread(target=another).start()
    return wait(group)


def in_place(group: Any) -> bool:
    return bool(group.wait(LIMIT))


def in_a_loop(group: Any) -> bool:
    async def main() -> bool:
        return bool(await group.wait_async(LIMIT))

    return asyncio.run(main())


def among_others(group: Any) -> bool:
    return bool(procession.wait([group], timeout=LIMIT).done)


@pytest.mark.parametrize("what", [(waits_twice,), *((waits_for_what_comes, w) for w in (in_place, in_a_loop, among_others))])
def test_another_worker_comes_as_long_as_a_block_waits(what: Any) -> None:
    go, gone = procession.Event(), procession.Event()
    with ProcessPoolExecutor(1) as executor, DispatchQueue("other", executor=executor) as queue:
        engine: Any = executor._engine
        queue.suspend()
        block = executor.submit(what[0], queue, go, gone, *what[1:])
        if what[0] is waits_twice:
            eventually(lambda: any(who for who, _ in engine.guests.waits._waits.values()), LIMIT, "a wait")
        go.set()
        assert gone.wait(LIMIT)
        try:
            eventually(lambda: engine.guests.waits.workers() == 1, LIMIT, "a worker that waits")
        except BaseException:
            block.cancel()
            raise
        finally:
            queue.resume()
        assert block.result(LIMIT) in (7, True)
        eventually(lambda: not engine.guests.waits.workers(), LIMIT, "nobody who waits")


def is_stopped_in_between(queue: DispatchQueue) -> int:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        raise KeyboardInterrupt

    threading.Thread.start = interrupted  # type: ignore[method-assign]
    with contextlib.suppress(KeyboardInterrupt):
        procession.wait([queue.async_(abs, -1)])
    return len(procession.wait([queue.async_(abs, -2)], timeout=LIMIT).done)


def test_answers_are_read_after_a_block_that_was_stopped_when_it_began_to_wait() -> None:
    with ProcessPoolExecutor(1) as executor, DispatchQueue("other", executor=executor) as queue:
        assert executor.submit(is_stopped_in_between, queue).result() == 1
