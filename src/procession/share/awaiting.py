"""Connections in an event loop: no thread, and any number of tasks at one connection."""

from __future__ import annotations

import select
import struct
import threading
from contextlib import suppress
from typing import Any

from procession import _native
from procession.core import forkhooks, loops

__all__ = ["Unsent", "finish", "receive", "send"]


async def receive(connection: Any) -> Any:
    """The next message of it. What had come of it when the task was cancelled is kept for the next to receive."""
    loop = loops.current()
    await loop.checkpoint()
    while True:
        connection._check_receivable()  # (it may have been closed while others ran)
        try:
            message = connection._take(wait=False, as_pickle=True)
        except BlockingIOError:
            message = None
        except TypeError:  # (closed since just now: there is no descriptor)
            connection._check_closed()
            raise
        if message is not None:
            return message
        await _readable(loop, connection)


async def _readable(loop: loops.Loop, connection: Any) -> None:
    begun = connection._incoming
    if begun is None:
        await loop.usable(connection.fileno(), check=connection._check_closed)
        return
    with suppress(OSError, ValueError):  # (a thread has received its rest, and so closed it, just now; or it is closed)
        await loop.usable(begun.fileno(), check=connection._check_closed)


async def send(connection: Any, pieces: list[bytes]) -> None:
    """Send the message. Between the ends of a Pipe, one that is given up halfway is dropped by the receiver. In the standard
    library's format what was begun is sent to its end: in the loop, as long as it runs and the connection is open, or by who
    sends next."""
    loop = loops.current()
    await loop.checkpoint()
    if not connection._packets:
        await _send_in_stream(loop, connection, Unsent(b"".join(pieces)))
        return
    outgoing = await _begin(loop, connection, pieces)
    remains = outgoing is not None
    while remains:
        assert outgoing is not None
        try:
            remains = outgoing.more()
        except BlockingIOError:
            await loop.usable(outgoing.fileno(), write=True)


async def _begin(loop: loops.Loop, connection: Any, pieces: list[bytes]) -> _native.Outgoing | None:
    while True:
        try:
            return _native.packet_begin(connection.fileno(), pieces)
        except BlockingIOError:
            await loop.usable(connection.fileno(), write=True, check=connection._check_closed)
            connection._check_sendable()


# --- the standard library's format, in which two messages must not mix ---


class Unsent:
    """A message in that format, of which a part may be sent. While it is a connection's `_unsent`, nothing else may be sent
    there: whoever wants to sends the rest of this first."""

    def __init__(self, message: bytes) -> None:
        size = len(message)
        head = struct.pack("!i", size) if size <= 0x7FFFFFFF else struct.pack("!iQ", -1, size)
        self.rest = memoryview(head + message)
        self.begun = False


_pushing = threading.Lock()  # (held for moments)


@forkhooks.after_in_child
def _forget() -> None:
    global _pushing
    _pushing = threading.Lock()


def _push(connection: Any, mine: Unsent | None) -> None:
    """Send some of what is under way there, or else of `mine`. Does not wait: BlockingIOError. Raises OSError if it fails; then
    the message is given up."""
    with _pushing:
        unsent: Unsent | None = connection._unsent or mine
        if unsent is None or not unsent.rest:
            return
        try:
            sent = _native.packet_stream(connection.fileno(), unsent.rest)
        except BlockingIOError:
            raise
        except BaseException:
            connection._unsent = None
            raise
        unsent.begun = True
        unsent.rest = unsent.rest[sent:]
        connection._unsent = unsent if unsent.rest else None


async def _send_in_stream(loop: loops.Loop, connection: Any, mine: Unsent) -> None:
    try:
        while mine.rest:
            if mine.begun and connection._unsent is not mine:
                raise BrokenPipeError("the connection failed while a message was being sent")
            try:
                _push(connection, mine)
            except BlockingIOError:
                await loop.usable(connection.fileno(), write=True, check=connection._check_closed)
                connection._check_sendable()
    finally:
        if mine.begun and mine.rest and connection._unsent is mine:
            _finish_in_loop(loop, connection, mine)


def _finish_in_loop(loop: loops.Loop, connection: Any, mine: Unsent) -> None:
    def more() -> None:
        try:
            _push(connection, None)
        except BlockingIOError:
            return
        except OSError:  # (nobody is there to be told)
            pass
        if connection._unsent is not mine:
            end()

    with suppress(OSError, RuntimeError):  # (closed; or the loop is over, and nobody sends it but who sends next)
        end = loop.watch(connection.fileno(), more, write=True)


def finish(connection: Any) -> None:
    """Send the rest of what a task left half sent; waits for room. Raises OSError if that fails."""
    while connection._unsent is not None:
        try:
            _push(connection, None)
        except BlockingIOError:
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLOUT)
            poller.poll()
