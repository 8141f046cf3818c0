"""Listener and Client: connections between processes that did not start each other, as in `multiprocessing.connection`.

They speak the standard library's format and handshake, so either side may be a process that knows nothing of us. Until the
other side has shown that it has the key, it is not trusted: it has a limited time, and can send 256 bytes at once.
"""

from __future__ import annotations

import os
import select
import time
from multiprocessing import connection as mp_connection
from typing import Any

from procession.errors import AuthenticationError
from procession.share.connection import Connection, ours

__all__ = ["Client", "Listener", "answer_challenge", "deliver_challenge"]

_theirs: Any = mp_connection
_Listener: Any = mp_connection.Listener  # (`compat` puts ours in its place)

#: Of a handshake's message.
_MOST = 256
#: Seconds that a client has to authenticate itself.
HANDSHAKE_TIMEOUT = 10.0


class _Stranger:
    """A connection during the handshake, as the standard library's challenges want it."""

    def __init__(self, fd: int, seconds: float | None) -> None:
        self._fd = fd
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._fd, event)
        left = None if self._end is None else max(0.0, self._end - time.monotonic()) * 1000
        if not poll.poll(left):
            raise AuthenticationError(f"the other side did not authenticate itself within {self._seconds} s")

    def send_bytes(self, data: bytes) -> None:
        message = len(data).to_bytes(4, "big") + data
        while message:
            self._wait(select.POLLOUT)
            message = message[os.write(self._fd, message) :]

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._wait(select.POLLIN)
            part = os.read(self._fd, size - len(data))
            if not part:
                raise EOFError("the other side closed the connection during the handshake")
            data += part
        return data

    def recv_bytes(self, maxlength: int = _MOST) -> bytes:
        size = int.from_bytes(self._read(4), "big")
        if size > min(maxlength, _MOST):
            raise OSError("bad message length")
        return self._read(size)


def _check(authkey: Any) -> None:
    if authkey is not None and not isinstance(authkey, bytes):
        raise TypeError("authkey should be a byte string")


def _shake_hands(connection: Connection, authkey: bytes, seconds: float | None, deliver_first: bool) -> Connection:
    stranger: Any = _Stranger(connection.fileno(), seconds)
    steps = [_theirs.deliver_challenge, _theirs.answer_challenge]
    try:
        for step in steps if deliver_first else reversed(steps):
            step(stranger, authkey)
    except AssertionError as error:  # (3.11 says it so)
        connection.close()
        raise AuthenticationError(f"the other side does not keep to the handshake: {error}") from None
    except BaseException:
        connection.close()
        raise
    return connection


class Listener(_Listener):  # type: ignore[misc]
    """Waits for clients at an address.

    As in `multiprocessing`; besides, where there is a key, a client has `handshake_timeout` seconds (None: for ever) to
    authenticate itself.
    """

    _handshake_timeout: float | None = HANDSHAKE_TIMEOUT

    def __init__(
        self,
        address: Any = None,
        family: str | None = None,
        backlog: int = 1,
        authkey: bytes | None = None,
        *,
        handshake_timeout: float | None = HANDSHAKE_TIMEOUT,
    ) -> None:
        _check(authkey)  # (before anything is bound)
        super().__init__(address, family, backlog, authkey)
        self._handshake_timeout = handshake_timeout

    def accept(self) -> Connection:
        """The next client's connection. Waits for it.

        Raises AuthenticationError, EOFError or OSError when the client does not authenticate itself; the next can be accepted.
        """
        me: Any = self
        if me._listener is None:
            raise OSError("listener is closed")
        connection = ours(me._listener.accept())
        if me._authkey is None:
            return connection
        seconds = getattr(self, "_handshake_timeout", HANDSHAKE_TIMEOUT)  # (an XmlListener of theirs comes here, too)
        return _shake_hands(connection, me._authkey, seconds, deliver_first=True)


def Client(
    address: Any, family: str | None = None, authkey: bytes | None = None, *, handshake_timeout: float | None = None
) -> Connection:
    """A connection to the Listener at `address`.

    With a key, both sides authenticate themselves to each other, the other one within `handshake_timeout` seconds (None: it may
    be busy for as long as it likes). Raises AuthenticationError, EOFError or OSError.
    """
    _check(authkey)
    _theirs._validate_family(family or _theirs.address_type(address))
    connection = ours(_theirs.SocketClient(address))
    return connection if authkey is None else _shake_hands(connection, authkey, handshake_timeout, deliver_first=False)


answer_challenge, deliver_challenge = _theirs.answer_challenge, _theirs.deliver_challenge
