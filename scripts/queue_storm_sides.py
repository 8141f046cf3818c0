"""What the processes of scripts/queue-storm do: the messages, the page that outlives the dead, producers and consumers."""

from __future__ import annotations

import mmap
import os
import queue as standard
import random
import time
from array import array
from contextlib import suppress
from typing import Any

import procession

__all__ = ["BEGUN", "DOING", "DONE", "GOT", "HAS_GOT", "IDLE", "IN_GET", "PROCESSES", "Page", "consume", "filling", "is_whole",
           "produce"]  # fmt: skip

BACKLOG = 2000  # messages in the queue from which on producers wait
MEGABYTE = 1 << 20
MANY = 5  # at once, by put_many()
#: What the page has of each process: serial that is being put, how many were put; or what it is doing, how many it got.
BEGUN, DONE, DOING, GOT, WIDTH = 0, 1, 2, 3, 4
IDLE, IN_GET, HAS_GOT = 0, 1, 2
PROCESSES = 100_000  # in one storm, at most


# --- messages -----------------------------------------------------------------------------------------------------


class Slow:
    """It takes a millisecond to be unpickled: many die in the middle of it."""

    def __reduce__(self) -> object:
        return _slowly, ()


def _slowly() -> Slow:
    time.sleep(0.001)
    return Slow()


def filling(me: int, serial: int, size: int) -> bytes:
    """Bytes that no other message has."""
    word = (me * 0x9E3779B97F4A7C15 + serial & (1 << 64) - 1).to_bytes(8, "little")
    return word * (size // 8)


def make_message(me: int, serial: int, chance: random.Random, variant: dict[str, Any]) -> tuple[Any, ...]:
    dice = chance.random()
    if dice < variant.get("big", 0):
        return me, serial, filling(me, serial, MEGABYTE)
    if dice < variant.get("slow", 0):
        return me, serial, Slow()
    if dice < variant.get("arrays", 0):
        return me, serial, make_array(me, serial, chance)
    return me, serial, filling(me, serial, 8 * chance.randrange(100) if dice > 0.8 else 8)


def make_array(me: int, serial: int, chance: random.Random) -> Any:
    """One of the program's, or one that lies in shared memory."""
    import numpy

    size = chance.choice((1000, 100_000, MEGABYTE))
    plain = numpy.frombuffer(filling(me, serial, size), "u8")
    if chance.random() < 0.5:
        return plain
    shared = procession.empty(plain.shape, plain.dtype)  # type: ignore[attr-defined]
    shared[:] = plain
    return shared


def is_whole(message: Any) -> bool:
    if not (isinstance(message, tuple) and len(message) == 3):
        return False
    me, serial, filler = message
    return isinstance(filler, Slow) or bytes(filler) == filling(me, serial, len(bytes(filler)))


# --- what outlives the dead ---------------------------------------------------------------------------------------


class Page:
    """Numbers of all processes, in a file that all have mapped; the first says that it is over."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open(f"{folder}/page", "a+b") as file:
            file.truncate(8 * WIDTH * PROCESSES)
            self.cells = memoryview(mmap.mmap(file.fileno(), 8 * WIDTH * PROCESSES)).cast("q")

    def __reduce__(self) -> object:
        return Page, (self.folder,)

    def of(self, number: int) -> memoryview:
        return self.cells[number * WIDTH : (number + 1) * WIDTH]

    def journal(self, number: int) -> str:
        return f"{self.folder}/got-{number}"


def produce(me: int, queue: Any, page: Page, variant: dict[str, Any], seed: int) -> None:
    chance, mine, over = random.Random(seed), page.of(me), page.of(0)
    simple = not hasattr(queue, "put_nowait")
    serial = 0
    while not over[0]:
        if chance.random() < (0.3 if simple else 0.1) or (not simple and queue.qsize() > BACKLOG):
            time.sleep(0.0003)
            continue
        if not simple and chance.random() < 0.05:
            mine[BEGUN] = serial + MANY
            queue.put_many([make_message(me, serial + i, chance, variant) for i in range(MANY)])
            mine[DONE] = serial = serial + MANY
            continue
        message = make_message(me, serial, chance, variant)
        mine[BEGUN] = serial + 1
        put(queue, message, 1.0 if simple else chance.random())
        mine[DONE] = serial = serial + 1


def put(queue: Any, message: Any, way: float) -> None:
    """One way or another; it is done when this returns."""
    while way < 0.2:
        try:
            queue.put_nowait(message) if way < 0.1 else queue.put(message, timeout=0.001)
            return
        except standard.Full:
            way += 0.05
    queue.put(message)


def consume(me: int, queue: Any, page: Page, joinable: bool, seed: int) -> None:
    chance, mine = random.Random(seed), page.of(me)
    journal = os.open(page.journal(me), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        mine[DOING] = IN_GET
        message = get(queue, chance)
        mine[DOING] = HAS_GOT
        if message is None:
            break
        whole = is_whole(message)
        os.write(journal, array("q", (message[0] if whole else -1, message[1] if whole else -1)).tobytes())
        mine[DOING] = IDLE
        mine[GOT] += 1
        del message
        if joinable:
            queue.task_done()


def get(queue: Any, chance: random.Random) -> Any:
    """One way or another."""
    if not hasattr(queue, "get_nowait"):
        return queue.get()
    while True:
        way = chance.random()
        if way > 0.25:
            return queue.get()
        if way > 0.2:
            procession.wait([queue], 0.01)
        with suppress(standard.Empty):
            return queue.get(timeout=0.001) if 0.1 < way < 0.2 else queue.get_nowait()
