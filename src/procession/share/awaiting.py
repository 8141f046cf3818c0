"""Connections in an event loop: no thread, and any number of tasks at one connection.

A descriptor can have one reader in a loop, and a connection's may have one already; so each wait has a duplicate of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from procession import _native

__all__ = ["receive", "send"]

#: In the standard library's format two threads must not send at once.
_one_at_a_time = threading.Lock()


async def _usable(fd: int, to_write: bool) -> None:
    """Until it can be read, or written, or is at its end."""
    loop = asyncio.get_running_loop()
    own = os.dup(fd)
    told = loop.create_future()

    def tell() -> None:
        if not told.done():
            told.set_result(None)

    try:
        (loop.add_writer if to_write else loop.add_reader)(own, tell)
        await told
    finally:
        (loop.remove_writer if to_write else loop.remove_reader)(own)
        os.close(own)


async def receive(connection: Any) -> Any:
    """The next message of it. What had come of it when the task was cancelled is kept for the next to receive."""
    while True:
        try:
            message = connection._take(wait=False, as_pickle=True)
        except BlockingIOError:
            message = None
        if message is not None:
            return message
        begun = connection._incoming
        await _usable(connection.fileno() if begun is None else begun.fileno(), to_write=False)
        connection._check_receivable()


async def send(connection: Any, pieces: list[bytes]) -> None:
    """Send the message. Given up halfway, it is dropped by the receiver."""
    if not connection._packets:
        work = asyncio.get_running_loop().run_in_executor(None, _send_whole, connection, b"".join(pieces))
        await asyncio.shield(work)
        return
    outgoing = await _begin(connection, pieces)
    remains = outgoing is not None
    while remains:
        assert outgoing is not None
        try:
            remains = outgoing.more()
        except BlockingIOError:
            await _usable(outgoing.fileno(), to_write=True)


async def _begin(connection: Any, pieces: list[bytes]) -> _native.Outgoing | None:
    while True:
        try:
            return _native.packet_begin(connection.fileno(), pieces)
        except BlockingIOError:
            await _usable(connection.fileno(), to_write=True)


def _send_whole(connection: Any, message: bytes) -> None:
    with _one_at_a_time:
        connection._send_bytes(message)
