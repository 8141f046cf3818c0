"""What travels between a pool and its workers: two queues of tagged messages, ``(number, aux, object)``.

A task's `number` is the pool's, and never used again; its `aux` says what to do: the function's key (32 bits), then the
*shape*, how the function is called with the object. An outcome bears the same number; its `aux` has the *kind*, the worker's
id and how long the task took. Messages about a worker, not about a task, have the worker's id in place of the number.
"""

from __future__ import annotations

import signal
from enum import IntEnum

__all__ = ["COROUTINE", "LIMITED", "RETIRE", "SOFT_SIGNAL", "STOP", "UNWANTED", "Kind", "Shape", "outcome", "work"]

#: In place of a task's number: the worker that takes it ends.
STOP = 0

KEY_BITS = 32
#: In a task's aux: the object is (memory limit in bytes, object).
LIMITED = 1 << 40


#: In a task's aux: the function is a coroutine function (core/coroutines.py), and the task belongs in the loop lane.
COROUTINE = 1 << 41


class Shape(IntEnum):
    """How a function is called with a task's object."""

    CALL = 1  # (args, kwargs): f(*args, **kwargs)
    OWN = 2  # (f, args, kwargs): the function comes with the task
    ONE = 3  # x: f(x)
    STAR = 4  # args: f(*args)
    MANY = 5  # items: [f(x) for x in items]
    MANY_STARS = 6  # items: [f(*args) for args in items]
    LOOP = 8  # the same, in the worker's event loop: its tasks are calls of coroutine functions
    SERVE = 7  # an order: the key is a lane's number; do the tasks in that lane's ring


class Kind(IntEnum):
    """What a message of a worker says."""

    VALUE = 1  # the object is what the function returned
    ERROR = 2  # (pickled exception or None, its text, remote traceback): the task raised it
    UNSENT = 3  # the same, and the repr of the result that could not be pickled
    STOPPED = 4  # the task has ended because it was asked to
    READY = 16  # it is up; its initializer has run
    LAST = 17  # it ends after the task that it has in hand, or wants to be relieved: start its successor
    GOODBYE = 18  # it has left its loop; the object is what its exit function returned
    BROKEN = 19  # the initializer raised: as ERROR
    RECORD = 20  # a log record, or a warning (relay.py)
    NUDGE = 22  # nothing: who collects has a look at what it waits for
    TAKEN = 23  # (with the task's number, and when by the monotonic clock) it has that task in hand, and takes others beside it
    REQUEST = 24  # (with numbers of its own) a task asks for something: Engine.guests
    DROPPED = 25  # (from the pool itself) there is something that nobody has any more: dropping.py
    DIED = 21  # (from the pool itself) all that the worker ever said stands before this


def work(key: int, shape: Shape) -> int:
    """A task's aux."""
    return key | shape << KEY_BITS


def outcome(kind: Kind, worker: int, microseconds: int = 0) -> int:
    """An outcome's aux."""
    return kind | (worker & 0xFFFF) << 8 | min(microseconds, 2**32 - 1) << 24


#: What a worker is asked with, and a task's number that asks the worker itself to leave. (A signal that nobody uses for
#: anything; what is asked stands in the worker's record: a signal that comes late asks for nothing.)
SOFT_SIGNAL = signal.SIGRTMIN + 11
RETIRE = 2**63
#: With a task's number: it is not too late, but nobody wants it any more.
UNWANTED = 2**62
