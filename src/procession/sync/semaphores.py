"""Semaphore and BoundedSemaphore."""

from __future__ import annotations

import errno
from typing import Any

from procession import _native
from procession.core.counts import count_of
from procession.sync import people, shares, tasks
from procession.sync.handles import Watchable, make

__all__ = ["SEM_VALUE_MAX", "BoundedSemaphore", "Semaphore"]

SEM_VALUE_MAX = 0x7FFFFFFF
#: Of a semaphore that knows who has what: what is kept for each member has two bits fewer.
_ROBUST_MAX = 0x3FFFFFFF


def checked(value: Any, robust: bool) -> int:
    """A semaphore's first value. Raises as `multiprocessing`'s does: TypeError, OSError (EINVAL), OverflowError."""
    number = count_of(value, "a semaphore's value")
    most = _ROBUST_MAX if robust else SEM_VALUE_MAX
    if number < 0:
        raise OSError(errno.EINVAL, f"a semaphore's value must be 0 or more; got {number}")
    if number > most:
        raise OverflowError(f"a semaphore's value can be {most} at most; got {number}")
    return number


class Semaphore(Watchable, _native.Semaphore):
    """A number of permits, as `multiprocessing.Semaphore`. `acquire` takes one, `release` gives one, whoever took it.

    ``robust=True``: it keeps account of who has them; when a process ends, however it ends, those that it has go back, and
    the first that waits gets them. Without it, permits belong to nobody, as is right for a semaphore that is used as a
    signal. Strictly first come first served when robust.
    """

    __slots__ = ()

    def __new__(cls, value: int = 1, *, ctx: Any = None, robust: bool = False) -> Any:
        number = checked(value, robust)
        return make(cls, _native.SHARES if robust else _native.SEMAPHORE, number, number)

    @property
    def robust(self) -> bool:
        """Whether the permits of the dead go back."""
        return self._robust

    @property
    def holders(self) -> tuple[tuple[people.Holder, int], ...]:
        """Who has how many permits; empty unless robust. (`thread` is 0: a process has them.) Does not block."""
        return people.shares_of(self) if self._robust else ()

    @property
    def _semlock(self) -> Semaphore:
        return self  # for the standard library's queues

    def _get_value(self) -> int:
        return self.get_value()

    def _is_zero(self) -> bool:
        return self.get_value() == 0

    def locked(self) -> bool:
        """Whether no permit is free. Does not block."""
        return self.get_value() == 0

    def _watch(self, channel: int) -> int | None:
        return self._observe(1, channel) if self._robust else self._await(channel)

    def _is_ready(self, wait: int) -> bool:
        return _native.wait_is_told(wait) if self._robust else super()._is_ready(wait)

    def _unwatch(self, wait: int, reported: bool) -> None:
        if self._robust:
            _native.wait_abandon(wait)  # (the permit that it was given goes to the next: it was only to know)
        else:
            super()._unwatch(wait, reported)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()})>"

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """`acquire` for an event loop: waits there without a thread. Cancelled, it has taken nothing."""
        if self._robust:
            return await shares.take(self, 1, timeout)
        return await tasks.take(self, lambda: self._try(0), timeout)

    async def __aenter__(self) -> bool:
        return await self.acquire_async()

    async def __aexit__(self, *error: object) -> None:
        self.release()


class BoundedSemaphore(Semaphore):
    """A semaphore that never has more permits than at first, as `multiprocessing.BoundedSemaphore`: then `release` raises
    ValueError.

    Robust unless ``robust=False`` or of more than 2**30 - 1 permits: those of a process that ends go back.
    """

    __slots__ = ()

    def __new__(cls, value: int = 1, *, ctx: Any = None, robust: bool = True) -> Any:
        number = checked(value, False)
        known = robust and number <= _ROBUST_MAX
        return make(cls, _native.SHARES if known else _native.SEMAPHORE, number, number, _native.BOUNDED)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._limit})>"
