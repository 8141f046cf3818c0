"""A message in the standard library's format that a task has half sent, and given up: no two messages mix."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from eventloops import LOOPS, Run
from procession.core import loops
from procession.share.connection import Connection


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


LONG = bytes(range(256)) * 12_000


@pytest.fixture(params=["socket", "pipe"])
def stream(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, Connection]]:
    """What is sent at the first comes at the second."""
    if request.param == "socket":
        first, second = (Connection(each.detach()) for each in socket.socketpair())
    else:
        read, write = os.pipe()
        first, second = Connection(write, readable=False), Connection(read, writable=False)
    with first, second:
        yield first, second


class Receiver(threading.Thread):
    """Receives so many messages."""

    def __init__(self, connection: Connection, count: int) -> None:
        super().__init__()
        self.connection, self.count, self.found = connection, count, []
        self.start()

    def run(self) -> None:
        for _ in range(self.count):
            self.found.append(self.connection.recv())


def test_it_is_finished_by_the_loop(stream: Any, run: Run) -> None:
    first, second = stream

    async def main() -> list[Any]:
        assert await run.cancelled(first.send_async, LONG)
        receiver = Receiver(second, 1)
        await run.until(lambda: not receiver.is_alive())
        return receiver.found

    assert run(main) == [LONG]


def test_it_is_finished_by_who_sends_next(stream: Any, run: Run) -> None:
    first, second = stream

    async def main() -> None:
        assert await run.cancelled(first.send_async, LONG)
        assert await run.cancelled(first.send_async, "this one has not begun")
        async with run.tasks() as start:
            for text in ("one", "two"):
                start(first.send_async, text)
                await run.sleep(0.005)
            receivers.append(Receiver(second, 3))

    receivers: list[Receiver] = []
    run(main)
    receivers[0].join()
    assert receivers[0].found[0] == LONG
    assert sorted(receivers[0].found[1:]) == ["one", "two"]


def test_it_is_finished_in_place_when_the_loop_is_over(stream: Any, run: Run) -> None:
    first, second = stream

    async def main() -> None:
        assert await run.cancelled(first.send_async, LONG)

    run(main)
    receiver = Receiver(second, 3)
    first.send("next")
    first.send_bytes(b"\x80\x04K\x01.")
    receiver.join()
    assert receiver.found == [LONG, "next", 1]


def test_it_is_cut_off_when_the_connection_is_closed(stream: Any, run: Run) -> None:
    first, second = stream

    async def main() -> None:
        assert await run.cancelled(first.send_async, LONG)
        first.close()

    run(main)
    with pytest.raises(OSError, match="end of file during message"):
        second.recv()


@pytest.mark.parametrize("way", ["receive", "send"])
def test_who_waits_for_a_connection_hears_that_it_is_closed(way: str, stream: Any, run: Run) -> None:
    first, second = stream
    mine = second if way == "receive" else first

    async def one() -> None:
        with pytest.raises(OSError, match="handle is closed"):
            await (second.recv_async() if way == "receive" else first.send_async(LONG))

    async def main() -> None:
        async with run.tasks() as start:
            start(one)
            await run.sleep(0.005)
            mine.close()

    run(main)


@pytest.mark.parametrize("way", ["receive", "send"])
def test_it_is_closed_before_the_first_look(way: str, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = stream

    class Loop:
        async def checkpoint(self) -> None:
            (second if way == "receive" else first).close()

    monkeypatch.setattr(loops, "current", Loop)
    with pytest.raises(OSError, match="handle is closed"):
        (second.recv_async() if way == "receive" else first.send_async(1)).send(None)


def test_a_receiver_that_is_gone(stream: Any, run: Run) -> None:
    first, second = stream

    async def send() -> None:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await first.send_async(LONG)

    async def main() -> None:
        async with run.tasks() as start:
            start(send)
            await run.sleep(0.005)
            second.close()
        await send()

    run(main)
