"""Pipe and Connection, as in `multiprocessing.connection`; and a message is delivered whole or not at all.

The ends of a Pipe are sockets that keep messages apart (`native/packets.h`); whoever waits for a message looks for it some
microseconds long before it goes to sleep. A Connection can be made of any other descriptor, too: it then speaks the standard
library's format, as the connections of a Listener and a Client do.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from multiprocessing import connection as mp_connection
from typing import Any

from procession import _native
from procession.core import loops
from procession.core.stdlib import mp_reduction
from procession.process import callbacks
from procession.share.pieces import pickled

__all__ = ["Connection", "Pipe", "wait"]

_theirs: Any = mp_connection
_wait = mp_connection.wait  # (`compat` puts ours in its place)

#: At most so much memory is taken before it is known that something comes to fill it.
_CHUNK = 1 << 20


class _Frame:
    """A message in the standard library's format, of which a part is here: four bytes with the size, or four that say -1
    and eight with the size, then the message."""

    def __init__(self) -> None:
        self.head = b""
        self.size = -1  # not known yet
        self._parts: list[bytes] = []
        self._got = 0

    def missing(self) -> int:
        """How many bytes to ask for next; 0: it is whole."""
        if self.size < 0:
            return (12 if self.head[:4] == b"\xff\xff\xff\xff" else 4) - len(self.head)
        return min(self.size - self._got, _CHUNK)

    def add(self, data: bytes) -> None:
        """Take what came. Raises OSError if it cannot be the size of a message, EOFError or OSError at the end."""
        if not data:
            if self._got or (self.head and self.size < 0):
                raise OSError("got end of file during message")
            raise EOFError
        if self.size >= 0:
            self._parts.append(data)
            self._got += len(data)
            return
        self.head += data
        if self.missing() == 0:
            (self.size,) = struct.unpack("!i" if len(self.head) == 4 else "!q", self.head[-8:])

    def is_bad(self, maxsize: int | None) -> bool:
        """Whether its size is none, or more than that."""
        if self.size < 0:
            return self.missing() == 0
        return maxsize is not None and self.size > maxsize

    def message(self) -> bytes:
        """The whole."""
        return b"".join(self._parts)


class Connection(_theirs.Connection):  # type: ignore[misc]
    """One end of a Pipe, or of a connection between a Listener and a Client.

    All of `multiprocessing`'s, with the same exceptions: ``EOFError`` when nobody is left at the other side and all that was
    sent is received, ``BrokenPipeError`` when nobody is left to receive, ``OSError`` after `close` and in the wrong direction.
    Between the ends of a Pipe a message whose sender was killed is never seen, the next one of another sender is; any number of
    processes and threads may send and receive at an end at once. It can be sent to other processes, and survives a fork.
    """

    _handle: Any  # the descriptor; None: closed
    _packets = False
    _incoming: _native.Incoming | None = None  # begun, and interrupted by a signal or a cancellation
    _frame: _Frame | None = None  # the same, in the other format
    _watched = False  # it has, or had, a callback
    _watch_entries: Any = None  # the entries of those who watch it (`process.watch`), weakly
    _unsent: Any = None  # in that one, too: what a task has half sent (`awaiting.Unsent`)

    def __init__(self, handle: int, readable: bool = True, writable: bool = True) -> None:
        super().__init__(handle, readable, writable)
        self._packets = _native.packets_speak(self._handle)

    def _close(self, _close: Callable[[int], None] = os.close) -> None:
        handle, self._handle = self._handle, None  # (before anybody is told: he may look at once)
        if handle is None:  # (another thread was quicker)
            return
        try:
            self._tell_of_closing(handle)
        finally:
            _close(handle)

    def _tell_of_closing(self, handle: int) -> None:
        if callbacks is not None and self._watched:
            callbacks.closing(self)
        for entry in [found for each in list(self._watch_entries or ()) if (found := each()) is not None]:
            entry.closing()
        if loops is not None:  # (it is when the interpreter is ending)
            loops.closing(handle)
            if self._incoming is not None:
                loops.closing(self._incoming.fileno())
        self._incoming = self._frame = self._unsent = None

    # --- sending ---

    def _check_sendable(self) -> None:
        self._check_closed()
        self._check_writable()

    def send(self, obj: Any) -> None:
        """Send an object. Waits while there is no room.

        What plain pickle cannot write down (lambdas, closures) goes by cloudpickle; if that cannot either, raises what pickle
        raised, and nothing is sent.
        """
        self._check_sendable()
        pieces = pickled(obj)
        if self._packets:
            _native.packet_send(self._handle, pieces)
        else:
            self._send_bytes(b"".join(pieces))

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Send bytes, from `offset` on, `size` of them. Waits while there is no room."""
        if type(buf) is bytes and offset == 0 and size is None and self._packets:
            self._check_sendable()
            _native.packet_send(self._handle, buf)
        else:
            super().send_bytes(buf, offset, size)

    def _send_bytes(self, buf: Any) -> None:
        if self._packets:
            _native.packet_send(self._handle, buf)
            return
        if self._unsent is not None:
            from procession.share import awaiting

            awaiting.finish(self)
        super()._send_bytes(buf)

    # --- receiving ---

    def _check_receivable(self) -> None:
        self._check_closed()
        self._check_readable()

    def recv(self) -> Any:
        """The next object. Waits for it; raises EOFError when nothing is left to receive and nobody to send."""
        self._check_receivable()
        return pickle.loads(self._take(as_pickle=True))

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """The next message. Waits for it; OSError if it is longer than `maxlength`, and nothing more can be received then."""
        self._check_receivable()
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        message: bytes = self._take(maxlength)
        return message

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO:
        message = io.BytesIO(self._take(maxsize))
        message.seek(0, io.SEEK_END)
        return message

    def _take(self, maxsize: int | None = None, wait: bool = True, as_pickle: bool = False) -> Any:
        """The next message; None, if not `wait`, when it is not (all) here. `as_pickle`: it may be some buffer, not bytes."""
        return self._take_packet(maxsize, wait, as_pickle) if self._packets else self._take_frame(maxsize, wait)

    def _take_packet(self, maxsize: int | None, wait: bool, as_pickle: bool) -> Any:
        while True:
            begun, self._incoming = self._incoming, None
            message: Any = begun or _native.packet_receive(self._handle, wait, as_pickle)
            if message is None:
                raise EOFError
            if maxsize is not None and (len(message) if type(message) is bytes else message.size) > maxsize:
                self._bad_message_length()
            if isinstance(message, bytes):
                return message
            done = self._fill(message, wait)
            if done is not False:  # (else its sender is dead, and it is as if it had never been)
                return bytes(done) if done is message and not as_pickle else done  # (begun by `recv`, and interrupted)

    def _fill(self, message: _native.Incoming, wait: bool) -> Any:
        done, fd = None, message.fileno()
        try:
            while (done := message.fill(wait)) is None and wait:
                pass  # (a signal was handled)
        finally:
            if done is None:
                self._incoming = message
            else:
                loops.closing(fd)  # (tasks may wait for more of it)
        return done

    def _take_frame(self, maxsize: int | None, wait: bool) -> bytes | None:
        frame = self._frame = self._frame or _Frame()
        while missing := frame.missing():
            if not wait and not _native.packet_poll(self._handle, 0):
                return None
            try:
                frame.add(os.read(self._handle, missing))
            except (EOFError, OSError):
                self._frame = None
                raise
            if frame.is_bad(maxsize):
                self._frame = None
                self._bad_message_length()
        self._frame = None
        return frame.message()

    def _poll(self, timeout: float | None) -> bool:
        return self._incoming is not None or _native.packet_poll(self._handle, timeout)

    def add_done_callback(self, function: Callable[[Connection], object]) -> None:
        """Call ``function(self)`` once, as soon as `procession.wait` would report it: when there is something to receive, or it
        is at its end; nothing is received by that.

        In a thread of procession's, one for all callbacks; what it raises is reported on stderr. The connection is kept until
        then; if it is closed before, the function is called then. Does not block. Raises OSError after `close`, TypeError if
        `function` cannot be called, RuntimeError if no thread can be had.
        """
        self._check_closed()
        callbacks.add(self, function)
        self._watched = True

    # --- in an event loop ---

    async def recv_async(self) -> Any:
        """The next object, for a task: other tasks run meanwhile. Raises as `recv` does. Cancelled, it has taken nothing."""
        from procession.share import awaiting

        self._check_receivable()
        return pickle.loads(await awaiting.receive(self))

    async def send_async(self, obj: Any) -> None:
        """Send an object, for a task: other tasks run while there is no room. Raises as `send` does.

        Cancelled, it has sent nothing or all; between Listener and Client what it had begun goes on in the event loop, or is
        done by who sends next there, so that no two messages mix; closing the connection cuts it off.
        """
        from procession.share import awaiting

        self._check_sendable()
        await awaiting.send(self, pickled(obj))


def ours(connection: Any) -> Connection:
    """The same, as a Connection of ours."""
    if isinstance(connection, Connection):
        return connection
    handle, connection._handle = connection._handle, None
    return Connection(handle, connection._readable, connection._writable)


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """Two ends: what is sent at one is received at the other.

    Without `duplex`, the first only receives and the second only sends.
    """
    first, second = _native.packets_pair()
    return Connection(first, True, duplex), Connection(second, duplex, True)


def wait(object_list: Any, timeout: float | None = None) -> list[Any]:
    """Those of the connections, sockets and descriptors (a process's sentinel) that can be read or are at their end, as soon as
    there is one; [] when `timeout` seconds are over."""
    objects = list(object_list)
    begun = [thing for thing in objects if getattr(thing, "_incoming", None) is not None]
    return begun or _wait(objects, timeout)


def _reduce(connection: Connection) -> tuple[Any, ...]:
    passed = mp_reduction.DupFd(connection.fileno())
    return _rebuild, (passed, connection.readable, connection.writable)


def _rebuild(passed: Any, readable: bool, writable: bool) -> Connection:
    return Connection(passed.detach(), readable, writable)


mp_reduction.register(Connection, _reduce)
