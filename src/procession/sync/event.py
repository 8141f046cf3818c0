"""Event."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.core import loops
from procession.process.waitable import Waitable
from procession.sync import tasks
from procession.sync.handles import Handle, make

__all__ = ["Event"]


class Event(Handle, Waitable, _native.Event):
    """A flag to wait for, for threads and processes, as `multiprocessing.Event`.

    `set` reaches all who wait, whoever of them has died, and the death of a process that sets it loses nobody's wake-up. It
    can be sent to any process of the family at any time.
    """

    __slots__ = ()

    def __new__(cls, *, ctx: Any = None) -> Any:
        return make(cls, _native.EVENT)

    async def wait_async(self, timeout: float | None = None) -> bool:
        """`wait` for an event loop: waits there without a thread."""
        loop = loops.current()
        deadline = loop.deadline(timeout)
        await loop.checkpoint()
        if self.is_set() or (timeout is not None and timeout <= 0):
            return self.is_set()
        with tasks.channel_of(loop) as channel:
            wait = self._await(channel.number)
            try:
                return await channel.told(wait, deadline) or self.is_set()
            finally:
                _native.wait_end(wait)

    def _watch(self, channel: int) -> int:
        return self._await(channel)

    def _is_ready(self, wait: int) -> bool:
        return _native.wait_is_told(wait) or self.is_set()

    def _unwatch(self, wait: int, reported: bool) -> None:
        _native.wait_end(wait)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {'set' if self.is_set() else 'unset'}>"
