"""What the processes do in the questions about sharing. Here stand the sides of the children, and what both sides do.

As in sides.py they tell each other on a board; each child has cells of its own there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from itertools import repeat
from typing import Any

from sides import BEGIN, PATIENCE, Board, await_moment, board_at, clock

__all__ = [
    "COUNTS", "ENDS", "KEYS", "MEGABYTE", "READIES", "WARM", "answer_arrays", "answer_arrays_by_name", "answer_arrays_by_pipe",
    "consume", "count_too", "count_up", "echo", "echo_by_pipe", "hold_array", "message", "nothing", "produce",
    "use_dict", "use_too",
]  # fmt: skip

MEGABYTE = 1 << 20
#: Messages for each of both sides before the measured ones: the queue is there in both processes then.
WARM = 50
#: Where the children's cells begin on the board.
READIES, COUNTS, ENDS = 16, 32, 48
#: As many keys a dictionary has.
KEYS = 64
_BATCH = 100


def message(kind: str, number: int) -> Any:
    """What goes through: a tuple as a task might be described by, or a megabyte."""
    return (number, "text", 1.5) if kind == "tuple" else bytes(MEGABYTE)


def nothing() -> None:
    """Of a child that is there to be started, and ends."""


def _child(path: str) -> Board:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)  # whatever happens to the others
    return board_at(path)


def _begin(board: Board, me: int) -> int:
    """We are ready; the moment from which on it counts."""
    board[READIES + me] = 1
    while not board[BEGIN]:
        time.sleep(0.001)
    await_moment(board[BEGIN])
    return board[BEGIN]


# --- messages in one direction ---


def produce(queue: Any, path: str, me: int, kind: str, count: int, consumers: int) -> None:
    """Put `count`; then stay until all have been got, which some rivals need."""
    board, put = _child(path), queue.put
    for i in range(WARM):
        put(message(kind, i))
    _begin(board, me)
    if kind == "tuple":
        for i in range(count):
            put((i, "text", 1.5))
    else:
        data = message(kind, 0)
        for _ in repeat(None, count):
            put(data)
    while not all(board[ENDS : ENDS + consumers]):
        time.sleep(0.001)


def consume(queue: Any, path: str, me: int, kind: str, count: int) -> None:
    """Get `count`, and the warm ones before."""
    board, get = _child(path), queue.get
    for _ in repeat(None, WARM):
        get()
    _begin(board, me)
    last = None
    for _ in repeat(None, count):
        last = get()
    board[ENDS + me] = clock()
    expected = message(kind, last[0] if kind == "tuple" else 0)  # type: ignore[index]
    if last != expected:
        raise RuntimeError(f"what came last is not what was put: {str(last)[:50]}")


# --- to and fro ---


def echo(there: Any, back: Any, path: str, count: int, cores: Collection[int]) -> None:
    """Put back what comes."""
    _child(path)
    os.sched_setaffinity(0, cores)
    get, put = there.get, back.put
    for _ in repeat(None, count):
        put(get())


def echo_by_pipe(connection: Any, path: str, count: int, cores: Collection[int]) -> None:
    """Send back what comes."""
    _child(path)
    os.sched_setaffinity(0, cores)
    recv, send = connection.recv, connection.send
    for _ in repeat(None, count):
        send(recv())


# --- a number under its lock ---


def count_up(value: Any, count: int) -> None:
    """What is measured."""
    for _ in repeat(None, count):
        with value.get_lock():
            value.value += 1


def count_too(value: Any, path: str, me: int, ns: int, cores: Collection[int]) -> None:
    """For `ns` nanoseconds, on these cores."""
    board = _child(path)
    os.sched_setaffinity(0, cores)
    count_up(value, _BATCH)
    until, count = _begin(board, me) + ns, 0
    while clock() < until:
        count_up(value, _BATCH)
        count += _BATCH
    board[COUNTS + me], board[ENDS + me] = count + _BATCH, clock()


# --- a dictionary ---


def use_dict(shared: Any, count: int) -> None:
    """What is measured: for each key in turn, set and get."""
    for i in range(count):
        key = i % KEYS
        shared[key] = i
        shared[key]


def use_too(shared: Any, path: str, me: int, ns: int) -> None:
    """For `ns` nanoseconds."""
    board = _child(path)
    use_dict(shared, KEYS)
    until, count = _begin(board, me) + ns, 0
    while clock() < until:
        use_dict(shared, KEYS)
        count += KEYS
    board[COUNTS + me], board[ENDS + me] = count, clock()


# --- arrays ---


def _result(array: Any) -> tuple[float, float, int]:
    return float(array[0]), float(array[-1]), array.nbytes


def answer_arrays(there: Any, back: Any, path: str, count: int) -> None:
    """A small result for each array. Its second number is changed: who shares the memory sees that."""
    _child(path)
    for _ in repeat(None, count):
        array = there.get()
        if array.flags.writeable:
            array[1] = -array[0]
        back.put(_result(array))
        del array


def answer_arrays_by_pipe(connection: Any, path: str, count: int) -> None:
    """The same."""
    _child(path)
    for _ in repeat(None, count):
        connection.send(_result(connection.recv()))


def answer_arrays_by_name(connection: Any, path: str, count: int) -> None:
    """The same, for arrays of which only the name of the memory comes: it is attached to each time."""
    from multiprocessing.shared_memory import SharedMemory

    import numpy

    _child(path)
    for _ in repeat(None, count):
        name, numbers = connection.recv()
        segment = SharedMemory(name)
        array = numpy.ndarray((numbers,), "d", segment.buf)
        array[1] = -array[0]
        result = _result(array)
        del array
        segment.close()
        connection.send(result)


def hold_array(there: Any, back: Any, enough: Any, path: str) -> None:
    """Take an array (or the name of its memory), look at all of it, and hold it until there is enough. (That comes by another
    queue: who is quick would take the next one's array.)"""
    import numpy

    _child(path)
    numpy.ones(1000).sum()  # what it imports late is not the array's
    back.put("ready")
    array = there.get()
    segment = None
    if isinstance(array, tuple):
        from multiprocessing.shared_memory import SharedMemory

        segment = SharedMemory(array[0])
        array = numpy.ndarray((array[1],), "d", segment.buf)
    back.put(float(array.sum()))
    enough.get()
    del array
    if segment is not None:
        segment.close()
