"""What the two processes do in the questions about synchronisation: here stand both sides, or the side of the child.

They tell each other on a `Board`: whole numbers in memory that both have mapped, which is the same for all rivals.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
import warnings
from collections.abc import Collection
from itertools import repeat
from typing import Any

__all__ = [
    "BEGIN", "COUNT", "COUNTER", "END", "PATIENCE", "READY", "STAMP", "TURN", "Board", "await_moment", "board_at", "clock",
    "compete", "compete_counting", "compete_too", "hold", "inherit", "meet", "meet_too", "pairs", "pairs_with",
    "return_turn", "take_turns", "tell_waking",
]  # fmt: skip

#: Seconds after which neither side waits for the other any more.
PATIENCE = 30
#: Where on a board stands what.
READY, STAMP, BEGIN, COUNT, END, COUNTER, TURN = range(7)
_BATCH = 100

Board = memoryview
clock = time.monotonic_ns


def board_at(path: str) -> Board:
    """The board, mapped here too."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return memoryview(mmap.mmap(fd, mmap.PAGESIZE)).cast("q")
    finally:
        os.close(fd)


def _child(path: str) -> Board:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)  # whatever happens to the other side
    return board_at(path)


# --- alone ---


def pairs(lock: Any, count: int) -> int:
    """Nanoseconds for `count` times acquire() and release()."""
    acquire, release = lock.acquire, lock.release
    begin = clock()
    for _ in repeat(None, count):
        acquire()
        release()
    return clock() - begin


def pairs_with(lock: Any, count: int) -> int:
    """Nanoseconds for `count` times ``with lock``."""
    begin = clock()
    for _ in repeat(None, count):
        with lock:
            pass
    return clock() - begin


# --- against each other ---


def compete(lock: Any, board: Board, until: int) -> int:
    """How often we get the lock before that moment."""
    acquire, release = lock.acquire, lock.release
    count = 0
    while clock() < until:
        for _ in repeat(None, _BATCH):
            acquire()
            release()
        count += _BATCH
    return count


def compete_counting(lock: Any, board: Board, until: int) -> int:
    """The same, with something to do: one more on the counter that both share."""
    acquire, release = lock.acquire, lock.release
    count = 0
    while clock() < until:
        for _ in repeat(None, _BATCH):
            acquire()
            board[COUNTER] += 1
            release()
        count += _BATCH
    return count


def compete_too(lock: Any, path: str, counting: bool, ns: int, cores: Collection[int]) -> None:
    """The child's side: on these cores, from the moment on the board."""
    board = _child(path)
    os.sched_setaffinity(0, cores)
    board[READY] = 1
    while not board[BEGIN]:
        time.sleep(0.001)
    await_moment(board[BEGIN])
    count = (compete_counting if counting else compete)(lock, board, board[BEGIN] + ns)
    board[COUNT], board[END] = count, clock()


def await_moment(moment: int) -> None:
    """Spin until then; it is near."""
    while clock() < moment:
        pass


# --- for each other ---


def tell_waking(event: Any, path: str, times: int) -> None:
    """The child's side of Event: what time is it when wait() returns?"""
    board = _child(path)
    for i in range(1, times + 1):
        board[READY] = i
        event.wait()
        board[STAMP] = clock()
        event.clear()


def meet(barrier: Any, rounds: int) -> None:
    """Both sides of Barrier."""
    wait = barrier.wait
    for _ in repeat(None, rounds):
        wait()


def meet_too(barrier: Any, path: str, rounds: int) -> None:
    """The child's side."""
    _child(path)
    meet(barrier, rounds)


def take_turns(condition: Any, board: Board, mine: int, rounds: int) -> None:
    """Both sides of Condition: wait for our turn, then it is the other's."""

    def my_turn() -> bool:
        return board[TURN] == mine

    for _ in repeat(None, rounds):
        with condition:
            condition.wait_for(my_turn)
            board[TURN] = 1 - mine
            condition.notify()


def return_turn(condition: Any, path: str, rounds: int) -> None:
    """The child's side."""
    take_turns(condition, _child(path), 1, rounds)


# --- after each other ---


def hold(lock: Any, path: str) -> None:
    """Have the lock, and be killed."""
    board = _child(path)
    lock.acquire()
    board[READY] = 1
    signal.pause()


def inherit(lock: Any, path: str, seconds: float) -> None:
    """Wait for the lock that a dying process has. What time is it then? No stamp: it never came."""
    board = _child(path)
    board[READY] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OwnerDiedWarning: that is the point
        got = lock.acquire(True, seconds)
        now = clock()
    if got:
        board[STAMP] = now
        lock.release()
