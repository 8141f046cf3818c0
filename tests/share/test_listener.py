"""Listener and Client: with processes of the standard library, and with those who mean no good."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing import connection as mp_connection
from typing import Any

import pytest

from procession.share.connection import Connection
from procession.share.listener import Client, Listener

FAMILIES = ["AF_UNIX", "AF_INET"]


def answer_one(listener: Any) -> None:
    with listener.accept() as connection:
        connection.send(("echo", connection.recv()))


class Beside:
    """Run it beside the block; what it returned or raised."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(function, args))

    def _run(self, function: Any, args: Any) -> None:
        try:
            self.result = function(*args)
        except BaseException as error:
            self.result = error

    def __enter__(self) -> Beside:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("key", [None, b"key"])
@pytest.mark.parametrize(
    ("listen", "call"), [(Listener, Client), (mp_connection.Listener, Client), (Listener, mp_connection.Client)]
)
def test_either_side_may_be_the_standard_library(family: str, key: bytes | None, listen: Any, call: Any) -> None:
    with listen(family=family, authkey=key) as listener, Beside(answer_one, listener):
        with call(listener.address, authkey=key) as client:
            client.send(data := os.urandom(500_000))
            assert client.recv() == ("echo", data)


def test_what_accept_gives_is_ours() -> None:
    with Listener() as listener, Client(listener.address) as client, listener.accept() as server:
        assert type(client) is type(server) is Connection


def test_the_wrong_key() -> None:
    with Listener(authkey=b"right") as listener, Beside(listener.accept) as accepting:
        with pytest.raises(AuthenticationError):
            Client(listener.address, authkey=b"wrong")
    assert isinstance(accepting.result, AuthenticationError)


def test_keys_are_bytes() -> None:
    for make in (lambda: Listener(authkey="text"), lambda: Client("/nowhere", authkey="text")):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="authkey should be a byte string"):
            make()


HOSTILE = [
    b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff" + b"\x7f" + b"\xff" * 7,
    b"\xff\xff\xff\xfe", b"\0\0\0\x04abcd", b"\0\0\1\1" + bytes(257), os.urandom(5000),
]  # fmt: skip


@pytest.mark.parametrize("stream", HOSTILE, ids=lambda stream: f"{stream[:8]!r}")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hostile_stream_is_an_error_and_the_next_client_is_served(family: str, stream: bytes) -> None:
    with Listener(family=family, authkey=b"key", handshake_timeout=5) as listener:
        with socket.socket(getattr(socket, family)) as stranger:
            stranger.connect(listener.address)
            stranger.sendall(stream)
            stranger.shutdown(socket.SHUT_WR)
            with pytest.raises((AuthenticationError, OSError, EOFError)):
                listener.accept()
        with Beside(answer_one, listener), Client(listener.address, authkey=b"key") as client:
            client.send(1)
            assert client.recv() == ("echo", 1)


@pytest.mark.parametrize("stream", [b"", b"\0\0", b"\0\0\0\x14abc"])
def test_a_client_that_says_nothing_more_is_given_up(stream: bytes) -> None:
    with Listener(authkey=b"key", handshake_timeout=0.2) as listener, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(listener.address)
        stranger.sendall(stream)
        with pytest.raises(AuthenticationError, match=r"did not authenticate itself within 0\.2 s"):
            listener.accept()


def test_a_client_that_dribbles_is_given_up() -> None:
    with Listener(authkey=b"key", handshake_timeout=0.3) as listener, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(listener.address)

        def dribble() -> None:
            for byte in b"\0\0\0\xff" + bytes(60):
                time.sleep(0.02)
                stranger.send(bytes([byte]), socket.MSG_NOSIGNAL)

        with Beside(dribble), pytest.raises(AuthenticationError, match="did not authenticate"):
            listener.accept()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with Listener() as listener, pytest.raises(AuthenticationError, match="within"):
        Client(listener.address, authkey=b"key", handshake_timeout=0.2)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (struct.pack("!iQ", -1, 1 << 62), (EOFError, OSError)),
        (struct.pack("!i", 0x7FFFFFFF) + b"abc", OSError),
        (struct.pack("!i", -2), OSError),
        (struct.pack("!iQ", -1, (1 << 64) - 1), OSError),
        (b"\0", OSError),
        (b"", EOFError),
    ],
)
def test_without_a_key_a_size_takes_no_memory_that_nothing_comes_for(stream: bytes, error: Any) -> None:
    with Listener() as listener, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(listener.address)
        stranger.sendall(stream)
        stranger.shutdown(socket.SHUT_WR)
        with listener.accept() as server, pytest.raises(error):
            server.recv()


def test_the_address_goes_with_the_listener() -> None:
    with Listener(family="AF_UNIX") as listener:
        assert os.path.exists(listener.address)
    assert not os.path.exists(listener.address) if listener._listener else True  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="listener is closed"):
        listener.accept()
