"""Messages on start channels: small ones in the socket, big ones in the arena with their place in the socket."""

from __future__ import annotations

import struct

from procession import _native

__all__ = ["pack", "receive", "unpack"]

_INLINE, _ARENA = b"I", b"A"
_PLACE = struct.Struct("=QQ")


def pack(data: bytes, owner: int) -> bytes:
    """What to send for `data`. A big message is put into the arena in the name of `owner`, who is to receive it: if it dies
    before it has, the reaper frees it. Raises MemoryError."""
    if len(data) <= _native.INLINE_BYTES:
        return _INLINE + data
    return _ARENA + _PLACE.pack(_native.arena_put(data, owner), len(data))


def receive(sock: int) -> tuple[bytes, list[int]]:
    """The next message and its descriptors; empty when the other side is gone. Blocks."""
    try:
        message, fds = _native.channel_receive(sock)
    except ConnectionError:
        return b"", []
    return unpack(message), fds


def unpack(message: bytes) -> bytes:
    """Undo `pack`."""
    if message[:1] == _ARENA:
        return _native.arena_fetch(*_PLACE.unpack(message[1:]))
    return message[1:]
