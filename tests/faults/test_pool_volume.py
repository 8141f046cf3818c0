"""Very many tasks, and iterables without an end: what is held is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pool_saboteurs import Face, square

import procession
from procession.pool.streams import AHEAD
from procession.testing.watch import eventually

WORKERS = 2  # of a Face


class Counter:
    """1, 2, 3 ... without end; `read` is how many were."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count(1):
            self.read = number
            yield number


def resident() -> int:
    """In KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError


@pytest.mark.parametrize("way", ["imap", "imap_unordered", "executor.map", "buffersize"])
def test_an_iterable_without_an_end_is_read_only_a_little_ahead(way: str) -> None:
    items = Counter()
    face = Face("pool" if way.startswith("imap") else "executor", "zygote")
    results: Any
    most = AHEAD * WORKERS
    if way.startswith("imap"):
        results = getattr(face.pool, way)(square, items)
    elif way == "buffersize":
        most = 5
        results = face.pool.map(square, items, buffersize=most)
    else:
        results = face.pool.map(square, items)
    for taken in range(1, 3001):
        result = next(results)
        assert way == "imap_unordered" or result == taken * taken
        assert items.read - taken <= most + 1
    # and if nobody takes any more, no more is read
    eventually(lambda: face.pool._engine.outstanding() == 0, what="what was read is done")
    assert items.read - 3000 <= most + 1
    results.close() if way in ("executor.map", "buffersize") else None
    face.kill()
    del results


def test_a_hundred_thousand_tasks_that_wait() -> None:
    """A few hundred bytes each, in this process; the ring to the workers does not grow with them."""
    face = Face("executor", "zygote")
    assert face.outcome(face.submit(square, 1)) == 1
    before, shared_before = resident(), procession.memory_use().total
    futures = [face.submit(square, number) for number in range(100_000)]
    grown = resident() - before
    shared = procession.memory_use().total - shared_before
    assert all(future.result(60) == number * number for number, future in enumerate(futures))
    print(f"{grown} KiB here, {shared} bytes shared")
    assert grown < 100_000  # (KiB: a kilobyte each; a million take 270 MiB in all)
    assert shared < 4 << 20
    face.close()
