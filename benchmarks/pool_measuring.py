"""The measuring code of pools, in a rival's parent process.

All times are CLOCK_MONOTONIC nanoseconds. Every result is checked: a rival that is fast because it failed is an error, not a
sample. Every command ends within `LIMIT` seconds, with an error if need be; the driver has a limit of its own behind that.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any

import pool_tasks as tasks
from looking import descendants
from measuring import ballast, own_facts
from pool_limits import Bounds
from pool_rivals import WORKERS, make_pooling
from rivals import OURS, is_limit
from share_sides import MEGABYTE
from sides import clock

__all__ = ["LIMIT", "PATIENCE", "Pools", "limited", "make"]

#: Seconds for one command.
LIMIT = 40
#: Seconds after which a task whose worker died counts as one that never ends.
PATIENCE = 2.0
_ENDING = 15


def make(rival: str, megabytes: int, modules: list[str], limits: str | None) -> Pools | Bounds:
    """What answers the driver, by the rival's name."""
    made = Bounds(rival, limits) if is_limit(rival) else Pools(rival)
    _ballast.extend(ballast(megabytes))
    return made


_ballast: list[bytes] = []


class Pools:
    """One library's pool, and the commands by their names."""

    def __init__(self, rival: str) -> None:
        self._rival, self._pooling = rival, make_pooling(rival)
        self._directory = tempfile.TemporaryDirectory(prefix="procession-bench-")
        self._ready, self._ready_fd = self._pipe("ready")
        self._release, self._release_fd = self._pipe("release")
        self._array: Any = None

    def _pipe(self, name: str) -> tuple[str, int]:
        path = os.path.join(self._directory.name, name)
        os.mkfifo(path)
        return path, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured at that; None if it can."""
        reason = self._pooling.lacks(what)
        if reason is None and what == "death" and not self._pooling.lacks("submit"):
            return None if self._death() else f"hangs: the task has not ended {PATIENCE:g} s after its worker"
        return reason

    def stand(self) -> str | None:
        """Open it, if it is not open, and let it work; where its class comes from. None if there is none."""
        if self._pooling.lacks("pool"):
            return None
        with limited():
            if self._pooling.pool is None:
                self._pooling.open()
            self._check(self._pooling.one_by_one(tasks.same, range(20)), 20)
            return self._pooling.kind()

    def _check(self, results: Any, count: int, ordered: bool = True) -> None:
        found = list(results)
        if (found if ordered else sorted(found)) != list(range(count)):
            raise RuntimeError(f"of {count} results some are wrong: {str(found)[:60]}")

    # --- the questions ---

    def tasks(self, way: str, count: int, *most: int) -> list[list[int]]:
        """How many tasks, and the nanoseconds from before they were given to the last result."""
        give, count = getattr(self._pooling, way), self._share(way, count)
        things = range(count)
        with limited():
            gc.collect()
            begin = clock()
            results = give(tasks.same, things, *most)
            if not isinstance(results, list):
                results = list(results)
            end = clock()
        self._check(results, count, way != "unordered")
        return [[count, end - begin]]

    def in_chunks(self, count: int, size: int) -> list[list[int]]:
        """The same, so many tasks per message."""
        return self.tasks("in_chunks", count, size)

    def _share(self, way: str, count: int) -> int:
        """Who gives tasks one by one has fewer of them: a sample takes as long as it takes."""
        batching = _BATCHING.get(way, ())
        if batching is None or self._rival in batching:
            return int(count * self._pooling.batched_pace)
        return max(50, int(min(count, _MOST_SINGLE) * self._pooling.pace))

    def round_trips(self, count: int, pause: float = 0.0) -> list[int]:
        """Nanoseconds for each of `count` tasks given one after another, from before submit to its result, on average.

        `pause`: seconds before each in which everybody falls asleep; not counted.
        """
        submit, get, taken = self._pooling.submit, self._pooling.get, 0
        count = max(5, int(count * min(1.0, self._pooling.pace * 5)))
        with limited():
            for i in range(count):
                if pause:
                    time.sleep(pause)
                begin = clock()
                found = get(submit(tasks.same, i))
                taken += clock() - begin
                if found != i:
                    raise RuntimeError(f"the result is {found}, not {i}")
        return [taken // count]

    def out_and_back(self, count: int, singly: bool = False) -> list[list[int]]:
        """Bytes that went out and back, both directions counted, and the nanoseconds: `count` megabytes, each its own task."""
        count = max(4, int(count * min(1.0, self._pooling.pace * 10)))
        things = [i.to_bytes(8, "little") * (MEGABYTE // 8) for i in range(count)]
        with limited():
            begin = clock()
            if singly:
                submit, get = self._pooling.submit, self._pooling.get
                found = [get(submit(tasks.same, thing)) for thing in things]
            else:
                found = list(self._pooling.one_by_one(tasks.same, things))
            end = clock()
        if found != things:
            raise RuntimeError("what came back is not what was sent")
        return [[2 * count * MEGABYTE, end - begin]]

    def prepare_array(self, megabytes: int) -> int:
        """Make the array, and let both workers import numpy; how many bytes it has."""
        import numpy

        self._array = numpy.ones(megabytes * 125_000)
        with limited():
            small = [numpy.ones(2000) for _ in range(4 * WORKERS)]
            list(self._pooling.one_by_one(tasks.look, small))
        return int(self._array.nbytes)

    def arrays(self, times: int) -> list[int]:
        """Nanoseconds for the array to a worker and a small result back, for each of `times`; the first is not counted."""
        return [self._array_out(i + 1.0) for i in range(times + 1)][1:]

    def _array_out(self, number: float) -> int:
        array = self._array
        array[0] = array[-1] = number
        with limited():
            begin = clock()
            if self._pooling.lacks("submit"):
                (found,) = self._pooling.one_by_one(tasks.look, [array])
            else:
                found = self._pooling.get(self._pooling.submit(tasks.look, array))
            end = clock()
        if tuple(found) != (number, number, array.nbytes):
            raise RuntimeError(f"the array's result is wrong: {found}")
        return end - begin

    def open_close(self) -> list[list[int]]:
        """Nanoseconds from before a pool is made to its first result; and for closing it, workers and all."""
        with limited():
            begin = clock()
            self._pooling.open()
            first = self._first()
            opened = clock()
            if first != 1:
                raise RuntimeError(f"the first result is {first}")
            self._check(self._pooling.one_by_one(tasks.same, range(4)), 4)
            closing = clock()
            self._pooling.close()
            closed = clock()
        return [[opened - begin, closed - closing]]

    def _first(self) -> Any:
        if self._pooling.map_first or self._pooling.lacks("submit"):
            return self._pooling.one_by_one(tasks.same, range(WORKERS))[1]
        return self._pooling.get(self._pooling.submit(tasks.same, 1))

    def death(self) -> list[int]:
        """Nanoseconds from before SIGKILL of a worker with a task to the error that its task ends with."""
        found = self._death()
        if not found:
            raise RuntimeError(f"the task has not ended {PATIENCE:g} s after its worker")
        return found

    def _death(self) -> list[int]:
        if self._pooling.pool is None:
            self.stand()
        pooling = self._pooling
        with limited():
            ticket = pooling.submit(tasks.stay, self._ready)
            pid = self._told()
            time.sleep(0.05)  # until all are asleep; the same for all
            begin = clock()
            os.kill(pid, signal.SIGKILL)
            try:
                found = pooling.get_within(ticket, PATIENCE)
            except Exception:
                end = clock()
            else:
                raise RuntimeError(f"a task whose worker was killed has a result: {found!r}")
            pooling.drop()
        taken = end - begin
        return [taken] if taken < PATIENCE * 0.99e9 else []

    def _told(self) -> int:
        """The pid that a task tells."""
        poller = select.poll()
        poller.register(self._ready_fd, select.POLLIN)
        if not poller.poll(LIMIT * 1000):
            raise TimeoutError("the task has not begun")
        return int.from_bytes(os.read(self._ready_fd, 8), "little")

    def queued(self, count: int) -> list[list[int]]:
        """Nanoseconds for `count` calls of submit while both workers are held, and bytes that this process has more after it.

        For a parent that has done nothing of that before: memory that was free already would not be counted.
        """
        pooling = self._pooling
        with limited():
            held = [pooling.submit(tasks.wait_for, self._ready, self._release) for _ in range(WORKERS)]
            for _ in held:
                self._told()
            gc.collect()
            before, tickets, submit = _resident(), [None] * count, pooling.submit
            begin = clock()
            for i in range(count):
                tickets[i] = submit(tasks.same, i)
            end = clock()
            time.sleep(0.3)  # until threads that pass them on have come to rest
            after = _resident()
            os.write(self._release_fd, b"x" * WORKERS)
            for ticket in held:
                pooling.get(ticket)
            if pooling.get(tickets[0]) != 0:
                raise RuntimeError("the first result is wrong")
            pooling.drop()
        return [[end - begin, max(0, after - before)]]

    # --- what the driver looks at ---

    def facts(self) -> dict[str, int]:
        """Descriptors, threads and memory of this process."""
        gc.collect()
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        self._array = None
        done = self._pooling.pool is None
        if not done:
            with suppress(Exception), limited(_ENDING):
                self._pooling.close()
                done = True
        self._directory.cleanup()
        if not done:  # who does not end in order, ends so
            for pid in descendants(os.getpid()):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        last = Timer(_ENDING, os._exit, (1,))  # a library's threads may wait for ever at the interpreter's end
        last.daemon = True
        last.start()


#: By which ways tasks are gathered into messages, and by whom: None is everybody.
_BATCHING = {"in_chunks": None, "by_default": (OURS, "mp_pool", "mpire", "joblib"), "unordered": ("joblib",)}
_MOST_SINGLE = 10_000


@contextmanager
def limited(seconds: int = LIMIT) -> Iterator[None]:
    """TimeoutError when the block takes longer."""
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _resident() -> int:
    facts = own_facts()
    return (facts["own_kib"] + facts["shared_kib"]) * 1024


def _too_late(*_: object) -> None:
    raise TimeoutError("it has taken too long")
