"""Whoever is killed while it sends or receives: a message is delivered whole or not at all."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any

import pytest

import procession
from procession import Pipe
from procession.testing.watch import eventually

SEED = random.randrange(1 << 30)
SECONDS = 1 if os.environ.get("PROCESSION_SHORT") else 3


def numbered(number: int, size: int) -> bytes:
    """A message that shows whether it is whole."""
    head = number.to_bytes(8, "big") + size.to_bytes(8, "big")
    return head + bytes([number % 251]) * size


def number_of(message: bytes) -> int:
    number, size = int.from_bytes(message[:8], "big"), int.from_bytes(message[8:16], "big")
    assert message == numbered(number, size), f"message {number} of {size} bytes is torn"
    return number


def received(reader: Any) -> list[int]:
    """The numbers of all messages up to the end, each of which must be whole."""
    numbers = []
    try:
        while True:
            numbers.append(number_of(reader.recv_bytes()))
    except EOFError:
        return numbers


def send_in_vain(connection: Any, message: bytes) -> None:
    while True:
        connection.send_bytes(message)


def send_for_ever(connection: Any, seed: int) -> None:
    chance = random.Random(seed)
    number = 0
    while True:
        size = chance.choice([1, 100, 5_000, 130_000, 140_000, 2_000_000]) * chance.randint(1, 2) // 2
        connection.send_bytes(numbered(number, size))
        number += 1


def test_a_sender_is_killed_at_any_moment(ctx: Any) -> None:
    chance = random.Random(SEED)
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end or rounds < 2:
        reader, writer = Pipe(duplex=False)
        process = ctx.Process(target=send_for_ever, args=(writer, chance.random()))
        process.start()
        writer.close()
        timer = threading.Timer(chance.uniform(0, 0.2), process.kill)
        timer.start()
        with reader:
            numbers = received(reader)
        assert numbers == list(range(len(numbers))), f"seed {SEED}"
        process.join()
        timer.join()
        rounds += 1


def test_after_a_killed_sender_the_next_one_is_heard(ctx: Any) -> None:
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        process = ctx.Process(target=writer.send_bytes, args=(bytes(5_000_000),))
        process.start()
        assert reader.poll(20)  # its message has begun, and cannot end as long as nobody receives it
        process.kill()
        process.join()
        writer.send("alive")
        assert reader.recv() == "alive"


def test_two_senders_at_one_end(ctx: Any) -> None:
    reader, writer = Pipe(duplex=False)

    def send(start: int) -> None:
        for n in range(40):
            writer.send_bytes(numbered(start + n, 300_000 * (n % 3)))

    senders = [ctx.Process(target=send, args=(start,)) for start in (0, 1000)]
    for process in senders:
        process.start()
    writer.close()
    with reader:
        got = received(reader)
    for process in senders:
        process.join()
    assert [n for n in got if n < 1000] == list(range(40))
    assert [n - 1000 for n in got if n >= 1000] == list(range(40))


def test_two_receivers_at_one_end(ctx: Any, tmp_path: Any) -> None:
    reader, writer = Pipe(duplex=False)

    def receive(name: str) -> None:
        writer.close()
        (tmp_path / name).write_text(" ".join(map(str, received(reader))))

    receivers = [ctx.Process(target=receive, args=(name,)) for name in "ab"]
    for process in receivers:
        process.start()
    reader.close()
    for n in range(60):
        writer.send_bytes(numbered(n, 200_000 * (n % 2)))
    writer.close()
    for process in receivers:
        process.join()
    both = [list(map(int, (tmp_path / name).read_text().split())) for name in "ab"]
    assert all(numbers == sorted(numbers) for numbers in both)
    assert sorted(both[0] + both[1]) == list(range(60))


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_receiver_is_killed(ctx: Any, size: int) -> None:
    first, second = Pipe()

    def receive() -> None:
        first.close()
        second.recv_bytes()
        second.recv_bytes(3)
        time.sleep(60)

    process = ctx.Process(target=receive)
    process.start()
    second.close()
    with first:
        first.send_bytes(b"ready")
        process.kill()
        with pytest.raises(BrokenPipeError):
            send_in_vain(first, bytes(size))
        with pytest.raises(EOFError):
            first.recv()
    process.join()


def test_what_a_dead_receiver_had_begun_is_lost_and_nothing_else() -> None:
    reader, writer = Pipe(duplex=False)

    def begin() -> None:
        procession._native.packet_receive(reader.fileno(), True, True)
        os.kill(os.getpid(), 9)

    process = procession.get_context("fork").Process(target=begin)
    process.start()
    with reader, writer:
        writer.send_bytes(bytes(5_000_000))  # returns when the receiver is gone: its message is in dead hands
        process.join()
        writer.send("next")
        assert reader.recv() == "next"
    eventually(lambda: not process.is_alive(), 5, "it is gone")
