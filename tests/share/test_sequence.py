"""SharedList: a list, seen by all processes of a family, whoever dies in it."""

from __future__ import annotations

import os
import pickle
import random
import threading
import time
from collections.abc import Callable, MutableSequence
from typing import Any

import pytest

import procession
from procession import FamilyError, Process, SharedDict, SharedList, _native

pytestmark = pytest.mark.usefixtures("no_memory_is_left")

# --- as a list ---


def test_it_is_a_mutable_sequence() -> None:
    shared: SharedList[Any] = SharedList("abc")
    assert isinstance(shared, MutableSequence)
    assert shared == ["a", "b", "c"] == shared.copy()
    assert (shared[0], shared[-1], shared[1:], shared[::-1], len(shared)) == ("a", "c", ["b", "c"], ["c", "b", "a"], 3)
    assert list(shared) == ["a", "b", "c"] == list(reversed(shared))[::-1]
    assert "b" in shared
    assert "x" not in shared
    shared.append(None)
    shared += (1, 2.5)
    shared.insert(1, "new")
    shared.insert(-100, "first")
    shared.insert(100, "last")
    assert shared == ["first", "a", "new", "b", "c", None, 1, 2.5, "last"]
    assert (shared.index("b"), shared.index(True), shared.count("b"), shared.count("x")) == (3, 6, 1, 0)
    assert (shared.pop(), shared.pop(0), shared.pop(-2)) == ("last", "first", 1)
    shared[0] = ["changed"]
    del shared[1]
    shared.remove(2.5)
    shared.reverse()
    assert repr(shared) == "SharedList([None, 'c', 'b', ['changed']])"
    more = [1]
    assert shared + more == [None, "c", "b", ["changed"], 1]
    assert more + shared == [1, None, "c", "b", ["changed"]]
    assert SharedList([1]) * 2 == [1, 1] == 2 * SharedList([1])
    assert shared == SharedList(shared)
    assert shared != (None,)
    shared.clear()
    assert not shared
    assert shared == []


def test_sort() -> None:
    numbers = [random.Random(5).randrange(1000) for _ in range(500)]
    shared = SharedList(numbers)
    shared.sort()
    assert shared == sorted(numbers)
    shared.sort(key=lambda n: n % 10, reverse=True)
    assert shared == sorted(sorted(numbers), key=lambda n: n % 10, reverse=True)
    with pytest.raises(TypeError):
        SharedList([1, "a"]).sort()

    def meddle(number: int) -> int:
        shared[0] = number
        return number

    with pytest.raises(ValueError, match="modified during sort"):
        shared.sort(key=meddle)


def test_remove_looks_again_when_another_was_quicker() -> None:
    shared: SharedList[Any] = SharedList([1, "x", 2])

    class Two:
        looked = 0

        def __eq__(self, other: object) -> bool:
            Two.looked += 1
            if Two.looked == 2:
                del shared[0]
            return other == "x"

    shared.remove(Two())
    assert shared == [2]
    with pytest.raises(ValueError, match="not in list"):
        shared.remove(5)


def test_bad_input() -> None:
    shared = SharedList([1, 2, 3])
    acts = [lambda: shared[3], lambda: shared[-4], lambda: shared.pop(3), lambda: shared.__setitem__(3, 0)]
    for act in [*acts, lambda: shared.__delitem__(9)]:
        with pytest.raises(IndexError, match="list index out of range"):
            act()
    with pytest.raises(IndexError):
        SharedList().pop()
    with pytest.raises(IndexError):
        shared[2**70]
    for wrong in ("a", 1.5, None):
        with pytest.raises(TypeError, match="list indices must be integers or slices"):
            shared[wrong]  # type: ignore[index]
    with pytest.raises(ValueError, match="attempt to assign sequence of size 3 to extended slice of size 2"):
        shared[::2] = [1, 2, 3]
    with pytest.raises(TypeError):
        shared[:] = 5  # type: ignore[assignment]
    with pytest.raises(ValueError, match="9 is not in list"):
        shared.index(9)
    with pytest.raises(TypeError, match="cannot pickle"):
        shared.extend([1, threading.Lock()])
    with pytest.raises(TypeError, match="unhashable"):
        hash(shared)
    with pytest.raises(ValueError, match="zero"):
        shared[::0]
    assert shared == [1, 2, 3]


SLICES = [slice(*parts) for parts in [(None,), (2, 5), (5, 2), (-3, None), (None, -3), (0, 0), (100, 200), (-100, 100)]] + [
    slice(start, stop, step) for start in (None, 1, -2, 50) for stop in (None, 6, -1, -50) for step in (2, 3, -1, -3, 2**62)
]  # fmt: skip


@pytest.mark.parametrize("part", SLICES, ids=str)
def test_slices(part: slice) -> None:
    for values in ([], [7], ["a", "b" * 500, 3.5], list(range(100))):
        shared, model = SharedList(range(9)), list(range(9))
        assert shared[part] == model[part]
        try:
            model[part] = values
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)):
                shared[part] = values
        else:
            shared[part] = values
        assert shared == model
        del shared[part], model[part]
        assert shared == model
        shared.extend(values)
        model.extend(values)
        assert shared == model


def test_a_value_is_a_copy() -> None:
    shared = SharedList([[1]])
    shared[0].append(2)
    assert shared == [[1]]
    shared.extend(shared)
    assert shared == [[1], [1]]


def test_growing_and_shrinking() -> None:
    before = _native.commons_facts()["arena_used"]
    shared: SharedList[Any] = SharedList()
    for i in range(20_000):
        shared.append(str(i))
    assert shared == [str(i) for i in range(20_000)]
    for size in (1, 140_000, 10, 1_000_000):
        shared[5] = "x" * size
        assert shared[5] == "x" * size
    for i in range(50_000):
        shared[i % 20_000] = i + 0.5
    assert shared[-1] == 39_999.5
    while shared:
        shared.pop()
    shared.append(1)
    shared.clear()
    assert _native.commons_facts()["arena_used"] <= before + 65536


# --- several ---


def test_all_that_is_appended_is_there(ctx: Any) -> None:
    shared: SharedList[tuple[int, int]] = SharedList()

    def append(shared: Any, number: int) -> None:
        for i in range(1000):
            shared.append((number, i))

    processes = [ctx.Process(target=append, args=(shared, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(shared) == [(number, i) for number in range(3) for i in range(1000)]
    for number in range(3):
        assert [i for n, i in shared if n == number] == list(range(1000))


def test_each_item_is_popped_once(ctx: Any) -> None:
    shared, got = SharedList(range(2000)), SharedList()

    def take(shared: Any, got: Any) -> None:
        while True:
            try:
                got.append(shared.pop(0))
                got.append(shared.pop())
            except IndexError:
                return

    processes = [ctx.Process(target=take, args=(shared, got)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(got) == list(range(2000))


def test_it_travels(ctx: Any, ask: Callable[..., Any]) -> None:
    shared: SharedList[Any] = SharedList([1])

    def change(shared: Any) -> Any:
        shared.append("b")
        shared[0] += 1
        return list(shared)

    assert ask(ctx, change, shared) == [2, "b"] == shared
    data = pickle.dumps(shared)
    copy = pickle.loads(data)
    copy.append(3)
    assert shared == [2, "b", 3]
    del shared, copy
    with pytest.raises(FamilyError, match="gone"):
        pickle.loads(data)


def test_a_parcel_of_the_wrong_kind() -> None:
    parcel = _native.heap_parcel(SharedDict(a=1))
    with pytest.raises(TypeError):
        _native.heap_attach(int, *parcel)
    with pytest.raises(FamilyError):
        _native.heap_attach(SharedList, *parcel)
    with pytest.raises(TypeError):
        _native.heap_parcel(5)  # type: ignore[arg-type]
    assert _native.heap_attach(SharedDict, *parcel) == {"a": 1}


# --- deaths ---


def vandal(shared: Any, number: int) -> None:
    for i in range(10**9):
        letter = chr(97 + number)
        shared.append(letter * (i * 31 % 900))
        shared.insert(i % 7, letter * (i % 50))
        shared[i % 3] = letter * 140_000 if i % 50 == 0 else letter * (i % 2000)
        if i % 3 == 0:
            del shared[5:5000:2]
        if i % 20 == 0:
            shared.reverse()
        shared.pop(3)
        if i % 1000 == 999:
            shared.clear()
            shared.extend([letter] * 10)


def test_a_storm_of_kills() -> None:
    shared: SharedList[str] = SharedList("abcdefgh")
    end, kills = time.monotonic() + (1 if os.environ.get("PROCESSION_SHORT") else 3), 0
    while time.monotonic() < end or kills <= 20:
        processes = [Process(target=vandal, args=(shared, number)) for number in range(3)]
        for process in processes:
            process.start()
        time.sleep(0.01 + kills % 7 * 0.003)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        kills += 3
        items = list(shared)
        assert len(items) == len(shared)
        for at, item in enumerate(items):
            assert shared[at] == item
            assert len(set(item)) <= 1
        shared[:] = "abcdefgh"
    assert os.getpid() == procession.current_process().pid
