"""Value, Array and their kin: the same memory in all processes, and none left."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from holders import Holder, back_to, used

import procession
from procession import Array, OwnerDiedWarning, RawArray, RawValue, Value, sharedctypes
from procession.share import heap


@pytest.fixture(autouse=True)
def fresh_heap() -> Iterator[None]:
    """Each test has a heap of its own, and gives all of it back."""
    before, old = used(), heap.BufferWrapper._heap
    heap.BufferWrapper._heap = heap.Heap()
    yield
    heap.BufferWrapper._heap = old
    back_to(before)


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


# --- the same memory ---


def test_what_a_child_writes_is_there(ctx: Any) -> None:
    def write(number: Any, array: Any, text: Any, raw: Any) -> None:
        number.value += 1
        array[1:3] = [7, 8]
        text.value = b"child"
        raw[0] = 2.5

    number, array, text, raw = ctx.Value("i", 41), ctx.Array("i", [1, 2, 3, 4]), ctx.Array("c", 10), ctx.RawArray("d", 2)
    process = ctx.Process(target=write, args=(number, array, text, raw))
    process.start()
    process.join()
    assert (number.value, array[:], text.value, raw[0]) == (42, [1, 7, 8, 4], b"child", 2.5)


def test_a_structure_has_its_fields(ctx: Any) -> None:
    def move(point: Any) -> None:
        point.x += 1
        point.y = 0.5

    point = ctx.Value(Point, 1, 2.0)
    process = ctx.Process(target=move, args=(point,))
    process.start()
    process.join()
    assert (point.x, point.y, type(point).__name__) == (2, 0.5, "SynchronizedPoint")


def test_it_can_be_sent_at_any_time() -> None:
    def take(pipe: Any) -> None:
        for _ in range(2):
            pipe.recv().value += 1
        pipe.send("done")

    ours, theirs = procession.Pipe()
    process = procession.Process(target=take, args=(theirs,))
    process.start()
    number = Value("q", 5)
    message = pickle.dumps(number)
    ours.send_bytes(message)
    ours.send_bytes(message)  # the same parcel twice
    assert ours.poll(20)
    assert ours.recv() == "done"
    process.join()
    assert number.value == 7
    ours.close()
    theirs.close()


def test_a_copy_is_another() -> None:
    first = RawValue(Point, 3, 4.0)
    second = sharedctypes.copy(first)
    first.x = 9
    assert (second.x, second.y) == (3, 4.0)


def test_new_memory_is_zero() -> None:
    for _ in range(3):
        array = RawArray("i", 20000)
        assert not any(array)
        array[:] = [1] * 20000
        del array


@pytest.mark.parametrize("code", "bBhHiIlLqQfducn")
def test_a_number_is_what_ctypes_makes_of_it(code: str) -> None:
    type_ = sharedctypes.typecode_to_type.get(code, ctypes.c_bool)
    number, theirs = Value(type_), type_()
    for value in (0, 1, -1, 127, 255, 300, -40000, 2**31, -(2**63), 2**64 - 1, 2**70, 1.5, float("inf"), True, "a", b"b", None):
        outcomes = []
        for thing in (number, theirs):
            try:
                thing.value = value
                outcomes.append((thing.value, type(thing.value)))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1], value
    with pytest.raises((TypeError, AttributeError)):
        del number.value
    assert not number.get_lock().locked()


# --- the lock ---


def test_a_property_waits_for_who_has_the_lock() -> None:
    number, reached = Value("i", 1), threading.Event()

    def change() -> None:
        reached.set()
        number.value = 2

    with number.get_lock():
        other = threading.Thread(target=change)
        other.start()
        reached.wait()
        assert number.value == 1  # ours, once more
        number.value = 3
    other.join()
    assert number.value == 2


def test_a_property_fails_and_the_lock_is_free() -> None:
    number, array = Value("i", 1), Array("i", 3)
    with pytest.raises(TypeError):
        number.value = "one"
    with pytest.raises(IndexError):
        array[3]
    for thing in (number, array):
        assert not thing.get_lock().locked()
        assert repr(thing.get_lock()).startswith("<RLock(None, 0")


@pytest.mark.parametrize("make", [procession.Lock, procession.RLock, threading.Lock, threading.RLock])
def test_any_lock_will_do(make: Any) -> None:
    number = Value("i", 1, lock=make())
    number.value += 1
    assert number.value == 2
    assert number.get_lock().acquire(False)
    number.get_lock().release()


def test_a_task_that_has_the_lock_reads_and_writes() -> None:
    number = Value("i", 1)

    async def add() -> None:
        async with number.get_lock():
            number.value += 1

    asyncio.run(asyncio.wait_for(add(), 10))
    assert number.value == 2


def test_increments_of_two_processes_are_all_there(ctx: Any) -> None:
    def add(number: Any) -> None:
        for _ in range(3000):
            with number.get_lock():
                number.value += 1

    number = ctx.Value("q")
    processes = [ctx.Process(target=add, args=(number,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert number.value == 6000


def test_who_dies_with_the_lock_leaves_it_free(ctx: Any) -> None:
    def die(number: Any) -> None:
        with number.get_lock():
            number.value = 5
            os.kill(os.getpid(), signal.SIGKILL)

    number = ctx.Value("i")
    process = ctx.Process(target=die, args=(number,))
    process.start()
    process.join()
    with pytest.warns(OwnerDiedWarning):
        assert number.value == 5
    number.value = 6  # (and nobody has it now)
    assert number.get_lock().acquire(False)
    number.get_lock().release()


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Value("x"), TypeError, "no such type code: 'x'"),
        (lambda: Value(3), TypeError, "expected a type code or a type of ctypes; got 3"),
        (lambda: Value("i", "text"), TypeError, "."),
        (lambda: Array("i", -1), ValueError, "must be >= 0, not -1"),
        (lambda: Array("i", 1.5), TypeError, "."),
        (lambda: Array("i", ["a"]), TypeError, "."),
        (lambda: Value("i", lock=7), AttributeError, "7 has no method 'acquire'"),
        (lambda: RawArray("d", 1 << 45), MemoryError, "no shared memory for"),
        (lambda: sharedctypes.synchronized(Value("i")), AssertionError, "already synchronized"),
        (lambda: heap.BufferWrapper(-1), ValueError, "-1 out of range"),
    ],
)
def test_bad_input_is_refused_at_the_call(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


# --- memory ---


def place_of(value: Any) -> tuple[int, int]:
    """Where it is in the family's memory. (Its address says little: beyond the window one is used after the other.)"""
    arena, start, _ = value._wrapper._state[0]
    return arena.buffer.place, start


def test_a_piece_that_was_sent_is_not_used_again() -> None:
    sent = RawValue("q", 11)
    place = place_of(sent)
    message = procession.reducer.ForkingPickler.dumps(sent)
    del sent
    others = [RawValue("q", 22) for _ in range(100)]
    assert place not in map(place_of, others)
    assert pickle.loads(message).value == 11


def test_a_piece_that_a_fork_may_use_is_not_used_again() -> None:
    number = RawValue("q", 11)
    place = place_of(number)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    del number
    others = [RawValue("q", 22) for _ in range(100)]
    assert place not in map(place_of, others)


def test_pieces_of_our_own_are_used_again() -> None:
    kept, before = RawValue("q"), used()
    for _ in range(50000):
        RawValue("q")
    assert used() <= before
    assert kept.value == 0


def test_what_was_sent_goes_with_its_last_holder(ctx: Any) -> None:
    before, number = used(), ctx.RawArray("q", 100000)
    holder = Holder(ctx, lambda array: array, number)
    del number
    assert used() > before
    holder.end()
    del holder
    back_to(before)


def test_a_killed_child_gives_back_what_it_had_and_what_it_never_took(ctx: Any) -> None:
    before, number = used(), ctx.RawArray("q", 100000)
    holder = Holder(ctx, lambda array: array, number)
    unread = [ctx.Process(target=signal.pause, args=(number,)) for _ in range(3)]
    for process in unread:
        process.start()
        process.kill()
    del number
    holder.kill()
    for process in unread:
        process.join()
    del unread, process, holder
    back_to(before)


def test_what_could_not_be_sent_altogether_is_not_sent() -> None:
    before, number = used(), RawArray("q", 100000)
    process = procession.Process(target=print, args=(number, threading.Lock()))
    with pytest.raises(procession.UnpicklableError):
        process.start()
    del process, number
    back_to(before)
