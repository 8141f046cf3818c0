"""RWLock: readers share, writers alone."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.process.waitable import Waitable
from procession.sync import people, shares
from procession.sync.handles import Handle, make

__all__ = ["RWLock"]

_ALL = 0x3FFFFFFF  # of the permits: a writer takes all, a reader one (native/shares.h)


class RWLock(Handle, _native.Shares):
    """Many may read at once, or one may write.

        with lock.reading(): ...
        with lock.writing(): ...        # both with `async with`, too

    First come first served: a reader that comes after a waiting writer waits behind it, so writers are not starved, nor
    readers. Not recursive: a reader that wants to read once more while a writer waits would wait for itself. What a process
    has of it goes back when it ends, however it ends. It belongs to the process, not to a thread. It can be sent to any
    process of the family at any time.
    """

    __slots__ = ()
    _wait_hint = ", but for its sides: reading() and writing()"

    def __new__(cls, *, ctx: Any = None) -> Any:
        return make(cls, _native.SHARES, _ALL, _ALL, _native.BOUNDED)

    def acquire_read(self, block: bool = True, timeout: float | None = None) -> bool:
        """Begin to read; False: it was not possible, or not within `timeout` seconds. Ctrl-C interrupts it."""
        return self._take(1, block, timeout)

    def release_read(self) -> None:
        """End to read. Raises ValueError if this process does not."""
        if not 0 < self._held() < _ALL:
            raise ValueError("this process is not reading")
        self._give(1, True)

    def acquire_write(self, block: bool = True, timeout: float | None = None) -> bool:
        """Begin to write, alone; False: it was not possible, or not within `timeout` seconds. Ctrl-C interrupts it."""
        return self._take(_ALL, block, timeout)

    def release_write(self) -> None:
        """End to write. Raises ValueError if this process does not."""
        if self._held() != _ALL:
            raise ValueError("this process is not writing")
        self._give(_ALL, True)

    def reading(self) -> Side:
        """To read in a ``with`` or ``async with`` block, and to wait until one could among other things."""
        return Side(self, 1)

    def writing(self) -> Side:
        """To write in a ``with`` or ``async with`` block, and to wait until one could among other things."""
        return Side(self, _ALL)

    async def acquire_read_async(self, timeout: float | None = None) -> bool:
        """`acquire_read` for an event loop. Cancelled, it has taken nothing."""
        return await self._take_async(1, timeout)

    async def acquire_write_async(self, timeout: float | None = None) -> bool:
        """`acquire_write` for an event loop. Cancelled, it has taken nothing."""
        return await self._take_async(_ALL, timeout)

    async def _take_async(self, units: int, timeout: float | None) -> bool:
        return await shares.take(self, units, timeout)

    @property
    def readers(self) -> tuple[people.Holder, ...]:
        """The processes that read, each once. Does not block."""
        return tuple(who for who, units in people.shares_of(self) if units < _ALL)

    @property
    def writer(self) -> people.Holder | None:
        """The process that writes, or None. Does not block."""
        return next((who for who, units in people.shares_of(self) if units == _ALL), None)

    def __repr__(self) -> str:
        writer = self.writer
        state = f"written by {writer.process}" if writer else f"{len(self.readers)} reading"
        return f"<{type(self).__name__}({state}, {len(self.waiters)} waiting)>"


class Side(Waitable):
    """One way to hold a lock of readers and writers, for a block; for `procession.wait`, done when it could be held so. Two
    that stand for the same are equal."""

    __slots__ = ("__weakref__", "_lock", "_units")
    _takes_turns = True

    def __init__(self, lock: RWLock, units: int) -> None:
        self._lock = lock
        self._units = units

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Side) and (self._lock, self._units) == (other._lock, other._units)

    def __hash__(self) -> int:
        return hash((self._lock, self._units))

    def __repr__(self) -> str:
        return f"<{'reading' if self._units == 1 else 'writing'} of {self._lock!r}>"

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As `RWLock.acquire_read` or `acquire_write`."""
        return self._lock._take(self._units, block, timeout)

    def release(self) -> None:
        """As `RWLock.release_read` or `release_write`."""
        (self._lock.release_read if self._units == 1 else self._lock.release_write)()

    def locked(self) -> bool:
        """Whether it could not be held so at this moment. Does not block."""
        return self._lock.writer is not None or (self._units == _ALL and bool(self._lock.readers))

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """`acquire` for an event loop. Cancelled, it has taken nothing."""
        return await self._lock._take_async(self._units, timeout)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    async def __aenter__(self) -> bool:
        return await self.acquire_async()

    async def __aexit__(self, *error: object) -> None:
        self.release()

    # --- for procession.wait ---

    def _watch(self, channel: int) -> int | None:
        return self._lock._observe(self._units, channel)

    def _is_ready(self, wait: int) -> bool:
        return _native.wait_is_told(wait)
