"""Waiting without a thread: in an event loop.

A task's wait lies in the shared memory like a thread's (native/waits.h). Whoever wakes it rings its process's doorbell; one
native thread there (native/bell.h) makes a *channel*, which is an eventfd, readable. An event loop has one channel while
any of its tasks waits.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from procession import _native
from procession.core import loops

__all__ = ["Channel", "channel_of", "take", "token"]


class Channel:
    """The waits of one event loop, and the descriptor by which it learns that some were told something."""

    def __init__(self, loop: loops.Loop) -> None:
        self._loop = loop
        self._bell = _native.Bell()
        self.number, self._fd = self._bell.number, self._bell.fd
        self.users = 0
        self._notes: dict[int, loops.Note] = {}
        self._unwatch = loop.watch(self._fd, self._rung)

    def _rung(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        for wait in _native.waits_told(self.number):
            note = self._notes.get(wait)
            if note is not None:
                note.set()

    async def told(self, wait: int, deadline: float | None = None) -> bool:
        """Sleep until `wait` is told something; False: `deadline` (of the loop's clock) came before."""
        note = self._notes[wait] = self._loop.note()
        try:
            return _native.wait_is_told(wait) or await note.wait(deadline)
        finally:
            del self._notes[wait]

    def close_if_idle(self) -> None:
        """Nobody waits any more."""
        if self.users == 0 and self._loop.kept.pop(Channel, None) is not None:
            self._unwatch()
            self._bell.close()


@contextmanager
def channel_of(loop: loops.Loop) -> Iterator[Channel]:
    """The channel of the running event loop, for as long as somebody needs it."""
    channel: Channel | None = loop.kept.get(Channel)
    if channel is None:
        channel = loop.kept[Channel] = Channel(loop)
    channel.users += 1
    try:
        yield channel
    finally:
        channel.users -= 1
        if channel.users == 0:
            loop.soon(channel.close_if_idle)  # (who waited may wait for the next before)


async def take(thing: Any, attempt: Callable[[], bool], timeout: float | None) -> bool:
    """Wait in the event loop until ``attempt()`` succeeds, trying when `thing` wakes us; False: `timeout` seconds passed.

    Cancelled, it has taken nothing, and a wake-up that it got is another's.
    """
    loop = loops.current()
    deadline = loop.deadline(timeout)
    await loop.checkpoint()
    if attempt():
        return True
    if timeout is not None and timeout <= 0:
        return False
    with channel_of(loop) as channel:
        wait = thing._await(channel.number)
        try:
            while not (done := attempt()):
                if not await channel.told(wait, deadline):
                    break
                _native.wait_again(wait)
                thing._announce()
            return done
        finally:
            thing._give_up(wait)  # (also when it succeeded: what it was told since it tried may be for another)


# --- who a task is, for the recursive lock ---

_tokens: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_numbers = itertools.count(1)


def token() -> int:
    """What names the running task among the holders of recursive locks; 0: there is none. Above all thread ids."""
    try:
        task = loops.current().task()
    except RuntimeError:
        return 0
    if task is None:
        return 0
    found = _tokens.get(task)
    if found is None:
        found = _tokens[task] = 0x80000000 | (next(_numbers) & 0x7FFFFFFF)
    return found
