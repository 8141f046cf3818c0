"""The measuring code of synchronisation, in a rival's parent process.

All times are CLOCK_MONOTONIC nanoseconds, a clock that all processes of a machine share. The partner is a process of
the rival's library, new in each sample; its start is not measured, its exit code is checked.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from typing import Any

import sides
from measuring import ballast, finish, own_facts
from rivals import synchronisation
from sides import BEGIN, COUNT, COUNTER, END, PATIENCE, READY, STAMP, TURN, clock
from sync_limits import Limits, Nothing

__all__ = ["Synchronising", "make"]

_WAKE_ROUNDS = 20


def make(rival: str, megabytes: int, modules: list[str], limits: str | None) -> Synchronising | Limits | Nothing:
    """What answers the driver, by the rival's name."""
    _ballast.extend(ballast(megabytes))
    if rival.startswith("c_"):
        if limits is None:
            raise ValueError(f"{rival}: limits_sync.c was not built")
        return Limits(rival, limits)
    return Nothing() if rival == "nothing" else Synchronising(rival)


_ballast: list[bytes] = []


class Synchronising:
    """One library's objects, and the commands by their names."""

    def __init__(self, rival: str) -> None:
        self._sync = synchronisation(rival)
        self._held: list[Any] = []
        self._children: list[Any] = []
        self._fd = os.memfd_create("board")
        os.ftruncate(self._fd, os.sysconf("SC_PAGESIZE"))
        self._path = f"/proc/{os.getpid()}/fd/{self._fd}"
        self._board = sides.board_at(self._path)
        signal.signal(signal.SIGALRM, _too_late)

    def _make(self, kind: str) -> Any:
        return getattr(self._sync, kind)(*([1] if "Semaphore" in kind else []))

    def _start(self, target: Any, *args: Any) -> Any:
        child = self._sync.Process(target=target, args=args)
        signal.alarm(PATIENCE)
        child.start()
        self._children.append(child)
        return child

    def _join(self, child: Any, expected: int = 0) -> None:
        child.join()
        signal.alarm(0)
        finish(child, expected)
        self._children.remove(child)

    def _clear(self) -> None:
        for i in range(len(self._board)):
            self._board[i] = 0

    def _until_ready(self, value: int) -> None:
        while self._board[READY] != value:
            time.sleep(0.0005)

    # --- the questions ---

    def pairs(self, kind: str, way: str, count: int) -> list[int]:
        """Nanoseconds for `count` times acquire and release, with nobody else there."""
        lock = self._make(kind)
        return [sides.pairs_with(lock, count) if way == "with" else sides.pairs(lock, count)]

    def contend(self, kind: str, seconds: float, counting: bool = False, apart: bool = True) -> list[list[int]]:
        """How often we and a child got one lock, and the nanoseconds that it took both. `apart`: each has its core."""
        self._clear()
        lock, ns, board = self._make(kind), int(seconds * 1e9), self._board
        everywhere = os.sched_getaffinity(0)
        cores = sorted(everywhere) if apart and len(everywhere) > 1 else []
        os.sched_setaffinity(0, cores[:1] or everywhere)
        child = self._start(sides.compete_too, lock, self._path, counting, ns, cores[1:2] or everywhere)
        self._until_ready(1)
        begin = board[BEGIN] = clock() + 10_000_000
        sides.await_moment(begin)
        mine = (sides.compete_counting if counting else sides.compete)(lock, board, begin + ns)
        end = clock()
        self._join(child)
        os.sched_setaffinity(0, everywhere)
        if counting and board[COUNTER] != mine + board[COUNT]:
            raise RuntimeError(f"{mine + board[COUNT]} additions under the lock came to {board[COUNTER]}")
        return [[mine, board[COUNT], max(end, board[END]) - begin]]

    def wake(self, times: int, asleep: float = 0.02) -> list[int]:
        """Nanoseconds from before Event.set() to the sleeper's next step."""
        self._clear()
        event = self._sync.Event()
        child = self._start(sides.tell_waking, event, self._path, times)
        samples = [self._wake(event, i, asleep) for i in range(1, times + 1)]
        self._join(child)
        return samples

    def _wake(self, event: Any, i: int, asleep: float) -> int:
        self._until_ready(i)
        time.sleep(asleep)
        self._board[STAMP] = 0
        begin = clock()
        event.set()
        while not self._board[STAMP]:
            time.sleep(0.0005)
        return self._board[STAMP] - begin

    def barrier(self, count: int) -> list[int]:
        """Nanoseconds for `count` meetings at a Barrier of two."""
        barrier = self._sync.Barrier(2)
        child = self._start(sides.meet_too, barrier, self._path, count + _WAKE_ROUNDS)
        sides.meet(barrier, _WAKE_ROUNDS)
        begin = clock()
        sides.meet(barrier, count)
        end = clock()
        self._join(child)
        return [end - begin]

    def turns(self, count: int) -> list[int]:
        """Nanoseconds for `count` round trips of a turn under a Condition."""
        self._clear()
        condition, board = self._sync.Condition(), self._board
        child = self._start(sides.return_turn, condition, self._path, count + _WAKE_ROUNDS)
        sides.take_turns(condition, board, 0, _WAKE_ROUNDS)
        begin = clock()
        sides.take_turns(condition, board, 0, count)
        with condition:  # the last one has yet to come back
            condition.wait_for(lambda: board[TURN] == 0)
        end = clock()
        self._join(child)
        return [end - begin]

    def death(self, kind: str = "Lock", asleep: float = 0.02, patience: float = 5.0) -> list[int]:
        """Nanoseconds from before SIGKILL of a lock's holder to a waiter having it."""
        self._clear()
        lock = self._make(kind)
        holder = self._start(sides.hold, lock, self._path)
        self._until_ready(1)
        waiter = self._start(sides.inherit, lock, self._path, patience)
        self._until_ready(2)
        time.sleep(asleep)
        begin = clock()
        os.kill(holder.pid, signal.SIGKILL)
        self._join(waiter)
        self._join(holder, -signal.SIGKILL)
        if not self._board[STAMP]:
            raise TimeoutError(f"{patience:g} s after its holder's death the {kind} has not come to the waiter")
        return [self._board[STAMP] - begin]

    # --- what is held while the driver looks ---

    def create(self, count: int) -> list[int]:
        """Nanoseconds for making `count` Locks, which are dropped afterwards."""
        make, made = self._sync.Lock, [None] * count
        begin = clock()
        for i in range(count):
            made[i] = make()
        return [clock() - begin]

    def make_room(self, count: int) -> None:
        """A list for as many, which is not to be counted as theirs."""
        self._held = [None] * count

    def keep(self, first: int, count: int) -> None:
        """Put `count` Locks into the list. Each is acquired and released once: the page behind it is there then."""
        for i in range(first, first + count):
            lock = self._held[i] = self._sync.Lock()
            lock.acquire()
            lock.release()

    def facts(self) -> dict[str, int]:
        """Descriptors, threads, memory and mappings of this process."""
        gc.collect()
        with open("/proc/self/maps", encoding="ascii") as file:
            return {"pid": os.getpid(), "mappings": sum(1 for _ in file), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        signal.alarm(0)
        for child in self._children:
            child.kill()
            child.join()


def _too_late(*_: object) -> None:
    raise TimeoutError(f"the other process has done nothing for {PATIENCE} s")
