"""Condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from procession import _native
from procession.core import loops
from procession.core.counts import count_of
from procession.core.seconds import timeout_of
from procession.process.waitable import Waitable
from procession.sync import losses, tasks
from procession.sync.handles import Handle, make
from procession.sync.locks import Lock, RLock

__all__ = ["Condition"]

_T = TypeVar("_T")


class _Unknown:
    """What `multiprocessing`'s condition counts with semaphores of its own is not counted here."""

    def get_value(self) -> int:
        raise NotImplementedError


class _LeavingAsync:
    """An `__aexit__` that knows the task whose block it is, for ``async with`` asks for it at the block's beginning: the block
    of a coroutine that is thrown away is left in whatever task runs then."""

    def __get__(self, condition: Condition | None, kind: type[Condition]) -> Any:
        return _leave_block if condition is None else partial(condition._leave_block, tasks.token())


async def _leave_block(condition: Condition, *error: object) -> None:
    """(For those who take `__aexit__` from the class, as `contextlib.AsyncExitStack`.)"""
    await condition._leave_block(tasks.token(), *error)


class Condition(Handle, Waitable, _native.Condition):
    """A condition variable for threads and processes, as `multiprocessing.Condition`.

    `lock` is a Lock or an RLock of ours; a new RLock if None. A waiter that dies is as if it had never waited: its
    notification goes to the next. When the lock's holder dies, the next to hold it (also by returning from `wait`) is told,
    as `Lock` says. Can be sent, with its lock, to any process of the family at any time.
    """

    __slots__ = ("_lock", "acquire", "release")
    _takes_turns = True
    _sleeping_count = _woken_count = _wait_semaphore = _Unknown()

    _lock: Lock | RLock
    acquire: Callable[..., bool]
    release: Callable[[], None]

    def __new__(cls, lock: Lock | RLock | None = None, *, ctx: Any = None) -> Any:
        if lock is not None and not isinstance(lock, (Lock, RLock)):
            raise TypeError(f"lock must be a Lock or RLock of procession, or None; got {lock!r}")
        return make(cls, _native.CONDITION)._with(RLock() if lock is None else lock)

    def _with(self, lock: Lock | RLock) -> Condition:
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release
        return self

    def __reduce__(self) -> Any:
        return _attach, (type(self), _native.cell_handle(self), self._lock)

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        # When wait() raised while it waited for the lock, by a signal's handler or as the lock's holder died, it is not ours.
        if error[:1] == (None,) or not error or self._lock._is_mine():
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock back, wait for a notification, take the lock again; False: none within `timeout` seconds.

        Raises AssertionError if the lock is not held by the caller. Ctrl-C interrupts it, with the lock held again, or, when
        it is interrupted while it waits for the lock, without.
        """
        if not self._lock._is_mine():
            raise AssertionError("must acquire() condition before using wait()")
        return self._wait(self._lock, timeout)

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until ``predicate()``, called with the lock held, is true, at most `timeout` seconds; what it gave last."""
        timeout = timeout_of(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        while not (result := predicate()):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    def notify(self, n: int = 1) -> None:
        """Let the `n` that have waited longest go on. Raises AssertionError if the lock is not held by the caller."""
        n = count_of(n, "n")
        if not self._lock._is_mine():
            raise AssertionError("lock is not owned")
        if n > 0:
            self._notify(n)

    def notify_all(self) -> None:
        """Let all who wait go on."""
        if not self._lock._is_mine():
            raise AssertionError("lock is not owned")
        self._notify(-1)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock!r}, {len(self.waiters)})>"

    # --- for procession.wait, and without the lock: done when it is notified, as one of those who wait ---

    def _watch(self, channel: int) -> int | None:
        return self._enter(channel)

    def _is_ready(self, wait: int) -> bool:
        return _native.wait_is_told(wait)

    def _unwatch(self, wait: int, reported: bool) -> None:
        if reported:
            _native.wait_end(wait)
        else:
            _native.wait_abandon(wait)  # (what was notified goes to the next)

    def _pass_on(self) -> None:
        self._notify(1)

    # --- in an event loop ---

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """Take the lock, in an event loop."""
        return await self._lock.acquire_async(timeout)

    async def __aenter__(self) -> bool:
        return await self._lock.acquire_async()

    if TYPE_CHECKING:

        async def __aexit__(self, *error: object) -> None: ...

    else:
        __aexit__ = _LeavingAsync()

    async def _leave_block(self, token: int, *error: object) -> None:
        if not losses.take(self._lock, token):
            self.__exit__(*error)

    async def wait_async(self, timeout: float | None = None) -> bool:
        """`wait` for an event loop. Cancelled, it first takes the lock again, as `asyncio.Condition` does; a notification that
        it got meanwhile goes to the next."""
        if not self._lock._is_mine():
            raise AssertionError("must acquire() condition before using wait()")
        loop = loops.current()
        deadline = loop.deadline(timeout)
        await loop.checkpoint()
        with tasks.channel_of(loop) as channel:
            depth = self._lock._count()
            wait = self._enter(channel.number)
            self._lock._set_count(1)
            self._lock.release()
            finished = notified = gone = False
            held: list[bool] = []
            token = tasks.token()
            cancelled: loops.Cancellation | None = None
            try:
                await channel.told(wait, deadline)
                finished = True
            except GeneratorExit:  # (we are thrown away: nothing can be awaited any more)
                gone = True
                raise
            finally:
                try:
                    if not gone:
                        cancelled = await loop.shielded(self._again, depth, self._lock._token(), held, insist=True)
                finally:
                    if not held:
                        losses.note(self._lock, token, depth)
                    notified = self._leave(wait)
                    if notified and (cancelled or not finished or not held):
                        self._notify(1)
        try:
            if cancelled:
                await loop.be_cancelled(cancelled)
            return notified
        finally:
            del cancelled  # (no circle with its traceback)

    async def _again(self, depth: int, token: int, held: list[bool]) -> None:
        await self._lock._acquire_as(token, None)
        held.append(True)
        self._lock._set_count(depth)

    async def wait_for_async(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """`wait_for` for an event loop."""
        loop = loops.current()
        end = loop.deadline(timeout)
        await loop.checkpoint()
        while not (result := predicate()):
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                break
            await self.wait_async(left)
        return result


def _attach(cls: type[Condition], handle: tuple[int, int, int], lock: Lock | RLock) -> Condition:
    made: Condition = _native.cell_attach(cls, *handle)
    return made._with(lock)
