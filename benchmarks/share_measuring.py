"""The measuring code of sharing, in a rival's parent process.

All times are CLOCK_MONOTONIC nanoseconds. The others are new processes of the rival's library in each sample, and so is what
they share; neither is measured. Their exit codes are checked.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Collection
from typing import Any

import share_sides as sides
from measuring import ballast, finish, own_facts
from share_limits import Alone, Copying, Waking
from share_rivals import make_library
from share_sides import COUNTS, ENDS, READIES
from sides import BEGIN, PATIENCE, board_at, clock

__all__ = ["WAKE_ROUNDS", "Sharing", "make"]

WAKE_ROUNDS = 20


def make(rival: str, megabytes: int, modules: list[str], limits: str | None) -> Sharing | Alone:
    """What answers the driver, by the rival's name."""
    _ballast.extend(ballast(megabytes))
    if rival in ("pickle", "plain_dict"):
        return Alone()
    if rival in ("c_futex", "c_spin", "memcpy"):
        if limits is None:
            raise ValueError(f"{rival}: the limits were not built")
        return Copying(limits) if rival == "memcpy" else Waking(rival, limits)
    return Sharing(rival)


_ballast: list[bytes] = []


class Sharing:
    """One library's things, and the commands by their names."""

    def __init__(self, rival: str) -> None:
        self._rival, self._library = rival, make_library(rival)
        self._children: list[Any] = []
        self._held: list[Any] = []
        self._fd = os.memfd_create("board")
        os.ftruncate(self._fd, os.sysconf("SC_PAGESIZE"))
        self._path = f"/proc/{os.getpid()}/fd/{self._fd}"
        self._board = board_at(self._path)
        signal.signal(signal.SIGALRM, _too_late)

    def _start(self, target: Any, *args: Any) -> Any:
        child = self._library.process(target, args)
        signal.alarm(PATIENCE)
        child.start()
        self._children.append(child)
        return child

    def _join(self, *children: Any) -> None:
        for child in children:
            child.join()
            finish(child, 0)
            self._children.remove(child)
        signal.alarm(0)

    def _together(self, count: int, start: Callable[[int], Any]) -> tuple[list[Any], int]:
        """Start as many children; once all are ready, tell them the moment from which on it counts."""
        for i in range(len(self._board)):
            self._board[i] = 0
        children = [start(me) for me in range(count)]
        while not all(self._board[READIES : READIES + count]):
            if any(child.exitcode is not None for child in children):
                raise RuntimeError(f"a child has ended before it began: {children}")
            time.sleep(0.0005)
        begin = self._board[BEGIN] = clock() + 10_000_000
        return children, begin

    def _last(self, count: int) -> int:
        return max(self._board[ENDS : ENDS + count])

    def warm(self) -> None:
        """Helpers (zygote, manager) stand after that."""
        self._join(self._start(sides.nothing))

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured at that; None if it can."""
        return self._library.lacks(what)

    # --- the questions ---

    def flow(self, kind: str, count: int, each: int = 1) -> list[int]:
        """Nanoseconds for `count` messages, from `each` producers to as many consumers, all of them children."""
        queue, share = self._library.queue(), count // each

        def start(me: int) -> Any:
            if me < each:
                return self._start(sides.consume, queue, self._path, me, kind, share)
            return self._start(sides.produce, queue, self._path, me, kind, share, each)

        children, begin = self._together(2 * each, start)
        self._join(*children)
        self._library.drop(queue)
        return [self._last(each) - begin]

    def round_trips(self, by: str, kind: str, count: int, apart: bool) -> list[int]:
        """Nanoseconds for a message to a child and back, `count` times: by two queues, or by a connection.

        `apart`: each has a core of its own, and so sleeps where nothing else runs.
        """
        things = self._library.pipe() if by == "pipe" else (self._library.queue(), self._library.queue())
        everywhere, places = _places(apart)
        total = count + WAKE_ROUNDS
        self._stay(places[0])
        try:
            if by == "pipe":
                child = self._start(sides.echo_by_pipe, things[1], self._path, total, places[1])
                taken = self._exchange(by, things[0], things[0], sides.message(kind, 1), count)
            else:
                child = self._start(sides.echo, *things, self._path, total, places[1])
                taken = self._exchange(by, things[0], things[1], sides.message(kind, 1), count)
        finally:
            self._stay(everywhere)
        self._join(child)
        self._library.drop(*things)
        return [taken]

    def _stay(self, cores: Collection[int]) -> None:
        os.sched_setaffinity(0, cores)

    def _exchange(self, by: str, there: Any, back: Any, data: Any, count: int) -> int:
        ends = (there.send, back.recv) if by == "pipe" else (there.put, back.get)
        return _to_and_fro(*ends, data, count)

    def count_alone(self, count: int) -> list[int]:
        """Nanoseconds for adding 1 under the lock, `count` times."""
        value = self._library.value()
        sides.count_up(value, 100)
        begin = clock()
        sides.count_up(value, count)
        return [clock() - begin]

    def count_together(self, seconds: float) -> list[list[int]]:
        """How often two children did, each on a core of its own, and the nanoseconds that it took."""
        value, ns = self._library.value(), int(seconds * 1e9)
        _, places = _places(True)
        children, begin = self._together(2, lambda me: self._start(sides.count_too, value, self._path, me, ns, places[me]))
        self._join(*children)
        told = sum(self._board[COUNTS : COUNTS + 2])
        if value.value != told:
            raise RuntimeError(f"{told} additions under the lock came to {value.value}")
        return [[told, self._last(2) - begin]]

    def dictionary(self, clients: int, seconds: float) -> list[list[int]]:
        """How often that many children set and got, together, and the nanoseconds that it took."""
        shared, ns = self._library.dict(), int(seconds * 1e9)
        for key in range(sides.KEYS):
            shared[key] = 0
        children, begin = self._together(clients, lambda me: self._start(sides.use_too, shared, self._path, me, ns))
        self._join(*children)
        found = [sum(self._board[COUNTS : COUNTS + clients]), self._last(clients) - begin]
        self._library.drop(shared)
        return [found]

    def segments(self, count: int, size: int) -> list[int]:
        """Nanoseconds for making, closing and unlinking a segment, `count` times."""
        make = self._library.segment
        begin = clock()
        for _ in range(count):
            segment = make(size)
            segment.close()
            segment.unlink()
        return [clock() - begin]

    # --- arrays ---

    def arrays(self, megabytes: int, times: int, own: bool = False) -> list[int]:
        """Nanoseconds for an array to a child and a small result back, for each of `times`; the first is not counted."""
        from share_arrays import Way

        with Way(self._rival, self._library, megabytes * 125_000, own) as way:
            child = self._start(way.target, *way.for_child, self._path, times + 1)
            samples = [way.there_and_back(i + 1.0) for i in range(times + 1)]
            self._join(child)
        return samples[1:]

    def hold_arrays(self, processes: int) -> list[int]:
        """Start children that will each hold an array; their pids."""
        queues = [self._library.queue() for _ in range(3)]
        children = [self._start(sides.hold_array, *queues, self._path) for _ in range(processes)]
        for _ in children:
            queues[1].get()
        self._held = [*queues, children]
        signal.alarm(0)
        return [child.pid for child in children]

    def give_array(self, megabytes: int) -> None:
        """One array, to each of them; they have looked at all of it after that."""
        from share_arrays import Way

        there, back, _, children = self._held
        signal.alarm(PATIENCE)
        way = Way(self._rival, self._library, megabytes * 125_000, self._rival != "mp_named")
        self._held.append(way)
        way.array[:] = 1.0
        for _ in children:
            there.put(way.sent)
        for _ in children:
            if back.get() != megabytes * 125_000:
                raise RuntimeError("another array than the one that was given")
        signal.alarm(0)

    def release_arrays(self) -> None:
        """They drop it and end."""
        *queues, children, way = self._held
        self._held = []
        for _ in children:
            queues[2].put("enough")
        self._join(*children)
        way.end()
        self._library.drop(*queues)

    # --- what the driver looks at ---

    def facts(self) -> dict[str, int]:
        """Descriptors, threads and memory of this process."""
        gc.collect()
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        signal.alarm(0)
        for child in self._children:
            child.kill()
            child.join()
        self._library.end()


def _places(apart: bool) -> tuple[set[int], list[list[int]]]:
    """The cores that there are, and those for each of two."""
    everywhere = os.sched_getaffinity(0)
    cores = sorted(everywhere)
    return everywhere, [cores[:1], cores[1:2]] if apart and len(cores) > 1 else [cores, cores]


def _to_and_fro(send: Callable[[Any], object], receive: Callable[[], Any], data: Any, count: int) -> int:
    """Nanoseconds for as many; some before that are not counted."""
    begin = 0
    for i in range(WAKE_ROUNDS + count):
        if i == WAKE_ROUNDS:
            begin = clock()
        send(data)
        got = receive()
    end = clock()
    if got != data:
        raise RuntimeError("what came back is not what was sent")
    return end - begin


def _too_late(*_: object) -> None:
    raise TimeoutError(f"the others have done nothing for {PATIENCE} s")

