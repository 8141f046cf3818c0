"""DispatchGroup."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from procession.core import loops
from procession.pool.future import Future
from procession.process.waitable import Waitable
from procession.process.waiting import deadline_of, seconds_to
from procession.sync.event import Event

if TYPE_CHECKING:
    from procession.dispatch.link import FarFuture
    from procession.dispatch.queue import DispatchQueue

__all__ = ["DispatchGroup"]

P = ParamSpec("P")
T = TypeVar("T")


class DispatchGroup(Waitable):
    """Things under way, blocks or others, that are waited for together: it is *empty* when all have ended.

    `enter` says that one more is under way, `leave` that one has ended; `async_` does both for a block. It may be used again
    when it is empty. `procession.wait` takes it, `await` waits for it, and ``with group:`` waits at the end. Threads may share
    it; it cannot be sent to another process.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._count = 0
        self._notices: list[tuple[DispatchQueue, Any]] = []
        self._empty: Event = Event()
        self._empty.set()
        self._far: set[FarFuture] = set()  # in a block: those under way that its program's queues do
        self._waiting = 0  # how many wait for it; meanwhile for each of these, too

    def enter(self) -> None:
        """One more is under way."""
        with self._lock:
            self._count += 1
            self._empty.clear()

    def leave(self) -> None:
        """One has ended. Raises RuntimeError if none is under way."""
        with self._lock:
            if not self._count:
                raise RuntimeError("leave() was called more often than enter()")
            self._count -= 1
            if self._count:
                return
            self._empty.set()
            notices, self._notices = self._notices, []
        for queue, block in notices:
            queue._submit_late(block)

    def async_(self, queue: DispatchQueue, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future:
        """``queue.async_(f, ...)``, of a block that belongs to the group until it has ended, in whatever way."""
        _check(queue)
        self.enter()
        try:
            future = queue.async_(f, *args, **kwargs)
        except BaseException:
            self.leave()
            raise
        if queue._is_far:
            with self._lock:
                self._far.add(future)  # type: ignore[arg-type]
                if self._waiting:
                    future.lend(True)
        future.add_done_callback(self._left)
        return future

    def _left(self, future: Any) -> None:
        with self._lock:
            self._far.discard(future)
        self.leave()

    def notify(self, queue: DispatchQueue, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future:
        """``queue.async_(f, ...)`` as soon as the group is empty, at once if it is; its future now. Arguments are written down
        now."""
        _check(queue)
        block = queue._block(f, args, kwargs, False)
        with self._lock:
            if self._count:
                self._notices.append((queue, block))
                return block  # type: ignore[no-any-return]
        return queue._submit(block)  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is empty. False after `timeout` seconds. Ctrl-C interrupts it. Raises DispatchDeadlock in a block for
        which one of the group waits."""
        deadline = deadline_of(timeout)
        self._lend(True)
        try:
            far = all(each.wait_here(seconds_to(deadline)) for each in list(self._far))
            return far and self._empty.wait(seconds_to(deadline))
        finally:
            self._lend(False)

    async def wait_async(self, timeout: float | None = None) -> bool:
        """`wait` for an event loop."""
        loop = loops.current()
        deadline = loop.deadline(timeout)
        self._lend(True)
        try:
            for each in list(self._far):
                await each.await_end(deadline)
            return await self._empty.wait_async(None if deadline is None else max(deadline - loop.time(), 0.0))
        finally:
            self._lend(False)

    def __await__(self) -> Generator[Any, None, bool]:
        return self.wait_async().__await__()

    def _lend(self, begins: bool) -> None:
        """In a block: another worker may come while somebody waits for this."""
        with self._lock:
            self._waiting += 1 if begins else -1
            if self._waiting == int(begins):  # (the first that comes, the last that goes)
                for future in self._far:
                    future.lend(begins)

    # --- procession.wait ---

    def _watch(self, channel: int) -> int | None:
        wait = self._empty._watch(channel)
        if wait is not None:
            self._lend(True)
        return wait

    def _is_ready(self, wait: int) -> bool:
        return self._empty._is_ready(wait)

    def _unwatch(self, wait: int, reported: bool) -> None:
        self._empty._unwatch(wait, reported)
        self._lend(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()

    def __reduce__(self) -> Any:
        raise TypeError("a DispatchGroup cannot be sent to another process")

    def __repr__(self) -> str:
        return f"<DispatchGroup, {self._count} under way>"


def _check(queue: Any) -> None:
    if not hasattr(queue, "barrier_async"):
        raise TypeError(f"a group's block needs a DispatchQueue, and then the function; got {queue!r}")
