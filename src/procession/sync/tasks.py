"""Waiting without a thread: in an event loop.

A task's wait lies in the shared memory like a thread's (native/waits.h). Whoever wakes it rings its process's doorbell; one
native thread there (native/bell.h) makes a *channel*, which is an eventfd, readable. An event loop has one channel while
any of its tasks waits.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from procession import _native
from procession.core import forkhooks

__all__ = ["Channel", "channel_of", "deadline_of", "shielded", "take", "token"]


class Channel:
    """The waits of one event loop, and the descriptor by which it learns that some were told something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._bell = _native.Bell()
        self.number, self._fd = self._bell.number, self._bell.fd
        self.users = 0
        self._futures: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(self._fd, self._rung)

    def _rung(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        for wait in _native.waits_told(self.number):
            future = self._futures.get(wait)
            if future is not None and not future.done():
                future.set_result(None)

    async def told(self, wait: int, deadline: float | None = None) -> bool:
        """Sleep until `wait` is told something; False: `deadline` (of the loop's clock) came before."""
        future = self._futures[wait] = self.loop.create_future()
        try:
            if _native.wait_is_told(wait):
                return True
            if deadline is None:
                await future
                return True
            done, _ = await asyncio.wait([future], timeout=max(0.0, deadline - self.loop.time()))
            return bool(done)
        finally:
            del self._futures[wait]

    def close(self) -> None:
        """Nobody waits any more."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        self._bell.close()


_channels: WeakKeyDictionary[asyncio.AbstractEventLoop, Channel] = WeakKeyDictionary()
forkhooks.after_in_child(_channels.clear)


@contextmanager
def channel_of() -> Iterator[Channel]:
    """The channel of the running event loop, for as long as somebody needs it."""
    loop = asyncio.get_running_loop()
    channel = _channels.get(loop)
    if channel is None:
        channel = _channels[loop] = Channel(loop)
    channel.users += 1
    try:
        yield channel
    finally:
        channel.users -= 1
        if channel.users == 0 and _channels.pop(loop, None) is not None:
            channel.close()


def deadline_of(timeout: float | None) -> float | None:
    """That many seconds from now, on the running loop's clock. Raises TypeError and ValueError as the waits in place do."""
    if timeout is None:
        return None
    if timeout != timeout:
        raise ValueError("timeout must be a number of seconds or None, not NaN")
    return asyncio.get_running_loop().time() + timeout


async def take(thing: Any, attempt: Callable[[], bool], timeout: float | None) -> bool:
    """Wait in the event loop until ``attempt()`` succeeds, trying when `thing` wakes us; False: `timeout` seconds passed.

    Cancelled, it has taken nothing, and a wake-up that it got is another's.
    """
    deadline = deadline_of(timeout)
    if attempt():
        return True
    if timeout is not None and timeout <= 0:
        return False
    with channel_of() as channel:
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


async def shielded(taking: Any) -> BaseException | None:
    """Await `taking` to its end even if we are cancelled meanwhile; the cancellation, to be raised later."""
    task = asyncio.ensure_future(taking)
    cancelled: BaseException | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.done():
                break
            cancelled = error
    task.result()
    return cancelled


# --- who a task is, for the recursive lock ---

_tokens: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
_numbers = itertools.count(1)


def token() -> int:
    """What names the running task among the holders of recursive locks; 0: there is none. Above all thread ids."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return 0
    if task is None:
        return 0
    if task not in _tokens:
        _tokens[task] = 0x80000000 | (next(_numbers) & 0x7FFFFFFF)
    return _tokens[task]
