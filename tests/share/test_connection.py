"""Pipe and Connection: what `multiprocessing`'s promise, and that a message comes whole or not at all."""

from __future__ import annotations

import array
import asyncio
import contextlib
import multiprocessing
import os
import random
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection as mp_connection
from multiprocessing import reduction, resource_sharer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import procession
from procession import Pipe
from procession.share.connection import Connection, wait
from procession.testing.watch import eventually

LONG = 3_000_000


@contextlib.contextmanager
def in_thread(function: Callable[..., Any], *args: Any) -> Iterator[None]:
    """Run the function beside the block; both must end."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    first, second = Pipe()
    with first, second:
        yield first, second


Ends = tuple[Connection, Connection]

# --- messages ---


def test_objects_arrive(ends: Ends) -> None:
    for thing in (None, 1, "text", b"bytes", [1, {"a": (2.5, {3})}], array.array("d", [1.0]), ends):
        ends[0].send(thing)
        got = ends[1].recv()
        assert got == thing or [type(part) for part in got] == [Connection, Connection]
        if isinstance(got, tuple):
            for part in got:
                part.close()
    assert not ends[1].poll()
    resource_sharer.stop()  # (the standard library's thread, which handed the descriptors over)


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 65536, 131071, 131072, 131073, 262144, LONG])
def test_every_size_arrives(ends: Ends, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with in_thread(ends[0].send_bytes, data):
        assert ends[1].recv_bytes() == data
    with in_thread(ends[1].send, (data, "after")):
        assert ends[0].recv() == (data, "after")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.integers(0, 300), st.integers(130_900, 131_200), st.integers(0, 900_000)), max_size=6))
def test_any_row_of_sizes_arrives_in_order(sizes: list[int]) -> None:
    first, second = Pipe(duplex=False)
    messages = [bytes([number % 251]) * size for number, size in enumerate(sizes, 1)]
    with first, second, in_thread(lambda: [second.send_bytes(message) for message in messages]):
        assert [first.recv_bytes() for _ in messages] == messages


@settings(deadline=None, max_examples=40)
@given(st.recursive(st.integers() | st.binary(max_size=200_000) | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_any_object_arrives(thing: Any) -> None:
    first, second = Pipe()
    with first, second, in_thread(first.send, thing):
        assert second.recv() == thing


def test_many_pieces_arrive(ends: Ends) -> None:
    thing = [bytes([n % 256]) * 70_000 for n in range(100)]
    with in_thread(ends[0].send, thing):
        assert ends[1].recv() == thing


def test_parts_of_a_buffer(ends: Ends) -> None:
    ends[0].send_bytes(b"0123456789", 2)
    ends[0].send_bytes(memoryview(b"0123456789"), 2, 3)
    ends[0].send_bytes(array.array("i", [1, 2]))
    assert [ends[1].recv_bytes() for _ in range(3)] == [b"23456789", b"234", array.array("i", [1, 2]).tobytes()]
    for args in ((b"abc", -1), (b"abc", 4), (b"abc", 0, -1), (b"abc", 2, 2)):
        with pytest.raises(ValueError, match=r"offset|size"):
            ends[0].send_bytes(*args)
    with pytest.raises(TypeError):
        ends[0].send_bytes("text")
    with pytest.raises(TypeError):
        ends[0].send_bytes([b"a", b"b"])


@pytest.mark.parametrize("size", [20, LONG])
def test_into_a_buffer(ends: Ends, size: int) -> None:
    data = os.urandom(size)
    place = bytearray(size + 3)
    with in_thread(ends[0].send_bytes, data):
        assert ends[1].recv_bytes_into(place, 2) == size
    assert place == b"\0\0" + data + b"\0"
    with in_thread(ends[0].send_bytes, data), pytest.raises(multiprocessing.BufferTooShort) as caught:
        ends[1].recv_bytes_into(bytearray(size - 1))
    assert caught.value.args == (data,)


@pytest.mark.parametrize("size", [20, LONG])
def test_longer_than_allowed(ends: Ends, size: int) -> None:
    with in_thread(ends[0].send_bytes, bytes(size)), pytest.raises(OSError, match="bad message length"):
        ends[1].recv_bytes(size - 1)
    assert not ends[1].readable
    with pytest.raises(ValueError, match="negative maxlength"):
        ends[0].recv_bytes(-1)


def test_what_has_no_name_arrives(ends: Ends) -> None:
    captured = 5
    ends[0].send(lambda x: x + captured)
    assert ends[1].recv()(1) == 6


def test_what_cannot_be_pickled_is_refused_and_nothing_is_sent(ends: Ends) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        ends[0].send([1, threading.Lock()])
    ends[0].send("next")
    assert ends[1].recv() == "next"


def test_a_reducer_that_is_registered_later_is_used(ends: Ends) -> None:
    class Odd:
        pass

    reduction.ForkingPickler.register(Odd, lambda odd: (int, ("7",)))  # type: ignore[arg-type,return-value]
    try:
        ends[0].send(Odd())
        assert ends[1].recv() == 7
    finally:
        reduction.ForkingPickler._extra_reducers.pop(Odd)  # type: ignore[attr-defined]


# --- ends ---


def test_one_way() -> None:
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        assert (reader.readable, reader.writable, writer.readable, writer.writable) == (True, False, False, True)
        writer.send(1)
        assert reader.recv() == 1
        for call, text in ((lambda: reader.send(1), "read-only"), (writer.recv, "write-only"), (writer.poll, "write-only")):
            with pytest.raises(OSError, match=f"connection is {text}"):
                call()


def test_after_close(ends: Ends) -> None:
    ends[0].close()
    ends[0].close()
    assert ends[0].closed
    for call in (ends[0].recv, ends[0].recv_bytes, ends[0].poll, ends[0].fileno, lambda: ends[0].send(1)):
        with pytest.raises(OSError, match="handle is closed"):
            call()


def test_the_end_comes_after_all_that_was_sent(ends: Ends) -> None:
    ends[1].send("unread")  # (closing with something unread resets the other side, which must not lose what it was sent)
    ends[0].send(1)
    ends[0].close()
    assert ends[1].poll()
    assert ends[1].recv() == 1
    for _ in range(2):
        with pytest.raises(EOFError):
            ends[1].recv()
        with pytest.raises(BrokenPipeError):
            ends[1].send(1)


def test_bad_descriptors() -> None:
    with pytest.raises(ValueError, match="invalid handle"):
        Connection(-1)
    with pytest.raises(ValueError, match="at least one"):
        Connection(0, False, False)


def test_it_is_one_of_theirs(ends: Ends) -> None:
    assert isinstance(ends[0], mp_connection.Connection)
    assert wait([ends[0]], 0) == []
    assert mp_connection.wait([ends[0], ends[1]], 0) == []


@pytest.mark.parametrize("make", [os.pipe, lambda: [s.detach() for s in socket.socketpair()]])
def test_the_format_of_the_standard_library(make: Any) -> None:
    read, write = make()
    with Connection(read, writable=False) as ours, mp_connection.Connection(write, readable=False) as theirs:
        for data in (b"", b"x", os.urandom(LONG)):
            with in_thread(theirs.send, data):
                assert ours.recv() == data
    read, write = make()
    with mp_connection.Connection(read, writable=False) as theirs, Connection(write, readable=False) as ours:
        with in_thread(ours.send, (1, bytes(LONG))):
            assert theirs.recv() == (1, bytes(LONG))


def test_descriptors_are_passed(ends: Ends) -> None:
    read, write = os.pipe()
    reduction.send_handle(ends[0], write, os.getpid())
    os.write(got := reduction.recv_handle(ends[1]), b"x")
    assert os.read(read, 1) == b"x"
    for fd in (read, write, got):
        os.close(fd)


def test_a_packet_of_somebody_else_is_an_error_and_the_next_comes(ends: Ends) -> None:
    read, write = os.pipe()
    reduction.send_handle(ends[0], write, os.getpid())
    os.write(ends[0].fileno(), b"hello")
    os.write(ends[0].fileno(), b"\xff" * 8 + b"B")
    ends[0].send("next")
    for _ in range(3):
        with pytest.raises(OSError, match="bad message"):
            ends[1].recv()
    assert ends[1].recv() == "next"
    os.close(write)
    assert os.read(read, 1) == b""  # the descriptor that came with it is not left open
    os.close(read)


def test_without_a_free_descriptor_a_long_message_is_an_error(ends: Ends) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with in_thread(ends[0].send_bytes, bytes(LONG)):
        assert ends[1].poll(20)
        top = os.dup(0)
        os.close(top)
        eventually(lambda: len(os.listdir("/proc/self/fd")) > 0, 5, "there are descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                ends[1].recv_bytes()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ends[0].send(1)
    assert ends[1].recv() == 1


# --- waiting ---


def test_poll_waits(ends: Ends) -> None:
    began = time.monotonic()
    assert not ends[0].poll(0.05)
    assert 0.04 < time.monotonic() - began < 5
    with in_thread(ends[1].send, 1):
        assert ends[0].poll(None)
    assert ends[0].recv() == 1
    assert not ends[0].poll(-1)


def test_wait_for_several(ends: Ends) -> None:
    other, far = Pipe()
    with other, far:
        far.send(1)
        assert wait([ends[0], other], 5) == [other]
        process = procession.Process(target=ends[1].send, args=(2,))
        process.start()
        assert procession.wait([process, ends[0]], 30).done
        process.join()
        assert set(procession.wait([process, ends[0]], 30, return_when="ALL_COMPLETED").done) == {process, ends[0]}
    assert ends[0].recv() == 2


@contextlib.contextmanager
def interrupted() -> Iterator[None]:
    """The block is, by Ctrl-C: again and again until that is seen, for one that comes between Python's last look at its signals
    and a sleep is seen with the next."""
    seen = threading.Event()

    def once(*_: object) -> None:
        if not seen.is_set():
            seen.set()
            raise KeyboardInterrupt

    def interrupt() -> None:
        while not seen.wait(0.1):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, once)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        yield
    except KeyboardInterrupt:
        pass
    else:
        pytest.fail("it was not interrupted")
    finally:
        seen.set()
        thread.join()
        signal.signal(signal.SIGINT, before)


def test_a_receiver_is_interrupted_and_nothing_is_lost(ends: Ends) -> None:
    """In the middle of a long message, too."""
    message = os.urandom(1_000_000)
    outgoing = procession._native.packet_begin(ends[0].fileno(), message)
    assert outgoing is not None
    for _ in range(2):
        with interrupted():
            ends[1].recv_bytes()
    assert ends[1].poll()
    assert wait([ends[1]]) == [ends[1]]

    def finish() -> None:
        with contextlib.suppress(BlockingIOError):
            while outgoing.more():
                pass

    with in_thread(lambda: [finish() or time.sleep(0.001) for _ in range(500) if outgoing.fileno() >= 0]):
        assert ends[1].recv_bytes() == message


def test_a_sender_is_interrupted_and_its_message_was_never_there(ends: Ends) -> None:
    with interrupted():
        ends[0].send_bytes(bytes(LONG))
    ends[0].send_bytes(b"next")
    assert ends[1].recv_bytes() == b"next"


# --- in event loops ---


def test_tasks_receive_and_send() -> None:
    async def main() -> None:
        first, second = Pipe()
        with first, second:
            receivers = [asyncio.create_task(second.recv_async()) for _ in range(5)]
            await asyncio.sleep(0)
            await asyncio.gather(*(first.send_async((n, bytes(n * 200_000))) for n in range(5)))
            assert sorted(n for n, _ in await asyncio.gather(*receivers)) == list(range(5))
            first.close()
            with pytest.raises(EOFError):
                await second.recv_async()

    asyncio.run(main())


def test_a_cancelled_task_takes_nothing_and_sends_nothing() -> None:
    async def main() -> None:
        first, second = Pipe()
        with first, second:
            for begin in (second.recv_async(), first.send_async(bytes(LONG))):
                task = asyncio.create_task(begin)
                await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            sending = asyncio.create_task(first.send_async("next"))
            assert await second.recv_async() == "next"
            await sending
            long = asyncio.create_task(first.send_async(bytes(LONG)))
            for _ in range(3):
                task = asyncio.create_task(second.recv_async())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    break
            assert task.cancelled() is False or await second.recv_async() == bytes(LONG)
            await long

    asyncio.run(main())


def test_tasks_at_a_stream() -> None:
    async def main() -> None:
        first, second = (Connection(s.detach()) for s in socket.socketpair())
        with first, second:
            receivers = [asyncio.create_task(second.recv_async()) for _ in range(3)]
            await asyncio.gather(*(first.send_async(bytes(n * 300_000)) for n in range(3)))
            assert sorted(map(len, await asyncio.gather(*receivers))) == [0, 300_000, 600_000]

    asyncio.run(main())
