"""Barrier."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from procession import _native
from procession.core import loops
from procession.core.counts import count_of
from procession.core.seconds import timeout_of
from procession.process.waitable import Waitable
from procession.sync import tasks
from procession.sync.handles import Handle, make

__all__ = ["Barrier"]

_MOST = 0x7FFF
_PASSED, _BROKEN, _AGAIN = 1, -1, 2  # what native/py/meetings.c answers
_LAST, _ACT = 1, 2


class Barrier(Handle, Waitable, _native.Barrier):
    """A place where `parties` threads or processes meet, as `multiprocessing.Barrier`.

    A process is a party from the moment that it gets the handle, or waits. When a party dies, or ends with an error, the
    barrier breaks at once for the others (BrokenBarrierError). `action` is called by the last one to come, before all go on.
    """

    __slots__ = ("_action", "_party", "_timeout")

    def __new__(
        cls, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None, *, ctx: Any = None
    ) -> Any:
        number = count_of(parties, "parties")
        if not 1 <= number <= _MOST:
            raise ValueError(f"parties must be from 1 to {_MOST}; got {number}")
        if action is not None and not callable(action):
            raise TypeError(f"action must be callable or None; got {action!r}")
        timeout = timeout_of(timeout)
        return make(cls, _native.BARRIER, count=number)._with(action, timeout)

    _action: Callable[[], object] | None
    _timeout: float | None
    _party: bool

    def _with(self, action: Callable[[], object] | None, timeout: float | None) -> Barrier:
        self._action, self._timeout, self._party = action, timeout, False
        return self

    def __reduce__(self) -> Any:
        return _attach, (type(self), _native.cell_handle(self), self._action, self._timeout)

    def join_in(self) -> None:
        """Say that this process is a party, before it waits for the first time: from now on its death breaks the barrier.

        A process that was sent the barrier is one; a child of a fork, which has it from its parent, is one when it waits or
        was given it among its arguments.
        """
        self._join(True)
        self._party = True

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all are there, at most `timeout` seconds (None: as long as the barrier was made for); how many had come
        before.

        Raises BrokenBarrierError if it is broken, or breaks: by a time-out, `abort`, `reset`, or a party's death. Ctrl-C
        interrupts it, and the arrival is taken back.
        """
        if not self._party:
            self.join_in()
        return self._wait(self._action, self._timeout if timeout is None else timeout)

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}: {state}>"

    # --- for procession.wait: done when the present phase has ended, or it is broken; who waits so is no party ---

    def _watch(self, channel: int) -> int | None:
        return self._observe(channel)

    def _is_ready(self, wait: int) -> bool:
        return self._outcome(wait) != 0

    # --- in an event loop ---

    async def wait_async(self, timeout: float | None = None) -> int:
        """`wait` for an event loop. Cancelled, the arrival is taken back."""
        loop = loops.current()
        deadline = loop.deadline(self._timeout if timeout is None else timeout)
        await loop.checkpoint()
        if not self._party:
            self.join_in()
        with tasks.channel_of(loop) as channel:
            while (index := await self._meet_async(channel, deadline)) is None:
                pass
        return index

    async def _meet_async(self, channel: Any, deadline: float | None) -> int | None:
        """One arrival: how many had come before; None: arrive again."""
        answer, wait, index = self._arrive(self._action is not None, channel.number)
        if answer == _BROKEN:
            raise threading.BrokenBarrierError
        if answer == _LAST:
            return index
        if answer == _ACT:
            return self._act(wait, index)
        outcome = 0
        try:
            while not outcome:
                told = await channel.told(wait, deadline)
                outcome = self._outcome(wait) if told else self._expire(wait)
                deadline = None  # (the last one is acting: that is waited for)
        finally:
            if outcome:
                _native.wait_end(wait)
            else:
                self._leave(wait)
        if outcome == _AGAIN:
            return None
        if outcome != _PASSED:
            raise threading.BrokenBarrierError
        return index

    def _act(self, wait: int, index: int) -> int:
        assert self._action is not None
        try:
            self._action()
        except BaseException:
            self.abort()
            raise
        finally:
            passed = not self.broken and self._acted()
            _native.wait_end(wait)
        if not passed:
            raise threading.BrokenBarrierError
        return index


def _attach(cls: type[Barrier], handle: tuple[int, int, int], action: Any, timeout: float | None) -> Barrier:
    made: Barrier = _native.cell_attach(cls, *handle)
    made._with(action, timeout)
    made.join_in()
    return made
