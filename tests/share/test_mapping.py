"""SharedDict: a dict, seen by all processes of a family, whoever dies in it."""

from __future__ import annotations

import fractions
import math
import os
import subprocess
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import pytest

import procession
from procession import SharedDict, _native

pytestmark = pytest.mark.usefixtures("no_memory_is_left")

SOURCE = os.path.dirname(os.path.dirname(procession.__file__))


# --- as a dict ---


def test_it_is_a_mutable_mapping() -> None:
    d: SharedDict[str, Any] = SharedDict({"a": 1}, b=2)
    assert isinstance(d, MutableMapping)
    assert d == {"a": 1, "b": 2} == d.copy()
    assert (d["a"], d.get("x"), d.get("x", 7), "a" in d, "x" in d, len(d)) == (1, None, 7, True, False, 2)
    assert list(d) == list(d.keys()) == ["a", "b"]
    assert (list(d.values()), list(d.items())) == ([1, 2], [("a", 1), ("b", 2)])
    assert list(reversed(d)) == ["b", "a"]
    assert ("a", 1) in d.items()
    assert 2 in d.values()
    assert len(d.items()) == 2
    assert d.setdefault("a", 9) == 1
    assert d.setdefault("c", [9]) == [9]
    assert d.pop("c") == [9]
    assert d.pop("c", None) is None
    d |= {"z": 5}
    assert d | {"y": 1} == {"a": 1, "b": 2, "z": 5, "y": 1}
    assert {"y": 1} | d == {"y": 1, "a": 1, "b": 2, "z": 5}
    assert d.popitem() == ("z", 5)
    d.update([("q", 1)], r=2)
    del d["a"]
    assert repr(d) == "SharedDict({'b': 2, 'q': 1, 'r': 2})"
    d.clear()
    assert d == {}
    assert not d
    assert SharedDict.fromkeys("ab", 0) == {"a": 0, "b": 0}
    assert d == SharedDict()
    assert d != []
    assert d != {"a": 1}


def test_what_is_not_there_is_a_key_error() -> None:
    d: SharedDict[Any, Any] = SharedDict()
    for act in (lambda: d[1.5], lambda: d.pop(1.5), lambda: d.__delitem__(1.5)):
        with pytest.raises(KeyError) as caught:
            act()
        assert caught.value.args == (1.5,)
    with pytest.raises(KeyError, match="empty"):
        d.popitem()
    with pytest.raises(TypeError, match="unhashable"):
        hash(d)


EQUAL_KEYS = [
    (1, 1.0, True), (0, -0.0, False, 0.0), (2**70, float(2**70)), ((1, "a"), (True, "a"), (1.0, "a")),
    (-(2**61), float(-(2**61))),
]  # fmt: skip


@pytest.mark.parametrize("keys", EQUAL_KEYS)
def test_keys_that_are_equal_are_one(keys: tuple[Any, ...]) -> None:
    for first in keys:
        d, model = SharedDict({first: 0}), {first: 0}
        for key in keys:
            d[key] = model[key] = repr(key)
            assert d[first] == d[key] == repr(key)
        assert repr(list(d.items())) == repr(list(model.items()))


KEYS = [
    None, True, 0, -1, 2**60 - 1, 2**60, -(2**60), -(2**60) - 1, 2**63, -(2**200), 1.5, math.inf, -math.inf, 5e-324, "", "a",
    "ä" * 9, "\ud800", "x\0y", b"", b"a", b"\0" * 40, (), ((),), ("a", 1), ("a1",), ("a", ("b", None)), (b"a",),
    "k" * 10000,
]  # fmt: skip


def test_keys_of_every_kind() -> None:
    d: SharedDict[Any, int] = SharedDict((key, number) for number, key in enumerate(KEYS))
    assert len(d) == len(KEYS)
    for number, key in enumerate(KEYS):
        assert d[key] == number
    assert list(map(repr, d)) == list(map(repr, KEYS))
    nan: SharedDict[Any, int] = SharedDict({math.nan: 1})
    assert nan[math.nan] == 1
    for key in KEYS:
        assert d.pop(key) >= 0
    assert not d


@pytest.mark.parametrize("key", [[], {}, ([],), bytearray(b"a")])
def test_what_is_unhashable_is_no_key(key: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        SharedDict()[key] = 1


@pytest.mark.parametrize("key", [object(), frozenset(), fractions.Fraction(1, 2), (1, print), len, 1j])
def test_what_is_not_plain_is_no_key(key: Any) -> None:
    d: SharedDict[Any, int] = SharedDict()
    for act in (lambda: d.__setitem__(key, 1), lambda: d[key], lambda: key in d, lambda: d.pop(key, 1)):
        with pytest.raises(TypeError, match="a key must be None, bool, int, float, str, bytes or a tuple of these, not "):
            act()
    nested: Any = ()
    for _ in range(100):
        nested = (nested,)
    with pytest.raises(ValueError, match="nests"):
        d[nested] = 1


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x


class Name(str):
    pass


VALUES = [
    *KEYS, 1j, [], [1, [2, {3: {4}}]], {"a": (1, 2)}, {1, 2}, frozenset({1}), bytearray(b"abc"), Point(3), [Point(1)],
    Name("n"), Ellipsis, "x" * 200_000, b"x" * 200_000, ["x" * 100] * 5000,
    list(range(100_000)), fractions.Fraction(1, 3), range(5), memoryview,
]  # fmt: skip


def test_values_of_every_kind() -> None:
    d: SharedDict[int, Any] = SharedDict(enumerate(VALUES))
    for number, value in enumerate(VALUES):
        assert d[number] == value
        assert type(d[number]) is type(value)
    assert list(d.values()) == VALUES
    assert math.isnan(d.setdefault(-1, math.nan))
    assert math.copysign(1, d.setdefault(-2, -0.0)) == -1


def test_a_value_is_a_copy() -> None:
    mine = [1]
    d = SharedDict(a=mine)
    mine.append(2)
    d["a"].append(3)
    assert d["a"] == [1]


def test_a_value_that_contains_itself_or_one_thing_many_times() -> None:
    loop: list[Any] = []
    loop.append(loop)
    many: Any = [1]
    for _ in range(50):
        many = [many, many]
    d = SharedDict(loop=loop, many=many)
    assert d["loop"][0][0] is not loop
    copy = d["many"]
    assert copy[0] is copy[1]


def test_what_cannot_be_pickled_changes_nothing() -> None:
    d: SharedDict[str, Any] = SharedDict(a=1)
    for act in (lambda: d.__setitem__("a", threading.Lock()), lambda: d.setdefault("b", (i for i in ()))):
        with pytest.raises(TypeError, match="cannot pickle"):
            act()
    assert d == {"a": 1}
    d["f"] = lambda x: x + 1  # (by value)
    assert d["f"](1) == 2


NO_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (120 << 20, 120 << 20))  # (what is shared is mapped in part only)
import procession
d, l, text = procession.SharedDict(a=1), procession.SharedList([1]), "x" * 2_000_000
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), 120 << 20))
for act in (
    lambda: d.update((i, text) for i in range(1000)), lambda: l.extend(text for i in range(1000)),
    lambda: d.update(((i, 1), 1) for i in range(10**6)), lambda: any(l.append(1) for i in range(10**7)),
):
    try:
        act()
    except MemoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (120 << 20, 120 << 20))
d["a"] += 1
print(d["a"], l[0], len(d) > 1000, len(l) > 1000, set(d[0]), d[(500, 1)], l[1000])
"""


def test_without_room_it_is_a_memory_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCE}, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert said[:-1] == ["there is no room in the family's memory"] * 4
    assert said[-1] == "2 1 True True {'x'} 1 1"


def test_growing_and_shrinking() -> None:
    d: SharedDict[Any, Any] = SharedDict()
    for i in range(20_000):
        d[i] = str(i)
    grown = _native.commons_facts()["arena_used"]
    assert d == {i: str(i) for i in range(20_000)}
    for i in range(19_000):
        del d[i]
    for i in range(50_000):
        d["x"] = i * 1.5
        del d["x"]
    assert _native.commons_facts()["arena_used"] < grown / 2
    assert d == {i: str(i) for i in range(19_000, 20_000)}
    for size in (10, 200_000, 10, 1_000_000, 150_000):
        d["x"] = "y" * size
        assert d["x"] == "y" * size
    d.clear()
    assert list(d) == []


# --- what changes a value by what it was ---


def test_increment_and_apply() -> None:
    d: SharedDict[str, Any] = SharedDict(x=2**60 - 1, f=1.5, s="a", t=True)
    assert [d.increment("n"), d.increment("n", 5), d.increment("n", -7)] == [1, 6, -1]
    assert d.increment("x") == 2**60 == d["x"]
    assert d.increment("x", 2**80) == 2**60 + 2**80 == d["x"]
    assert d.increment("f") == 2.5 == d["f"]
    assert d.increment("n", 0.5) == -0.5
    assert d.increment("t") == 2
    with pytest.raises(TypeError):
        d.increment("s")
    assert d.apply("s", lambda s: s + "b") == "ab" == d["s"]
    assert d.apply("list", lambda old: [*old, 1], default=[]) == [1]
    with pytest.raises(KeyError):
        d.apply("nothing", str)
    with pytest.raises(ZeroDivisionError):
        d.apply("n", lambda n: n / 0)
    assert d["n"] == -0.5


def test_apply_begins_anew_when_another_was_quicker() -> None:
    d: SharedDict[str, Any] = SharedDict(a="x")
    seen = []

    def function(value: str) -> str:
        seen.append(value)
        if len(seen) < 3:
            d["a"] = value + "!"
        return value + "?"

    assert d.apply("a", function) == "x!!?"
    assert seen == ["x", "x!", "x!!"]


def test_nobodys_addition_is_lost(ctx: Any) -> None:
    d: SharedDict[str, Any] = SharedDict()

    def add(d: Any) -> None:
        for i in range(1000):
            d.increment("n")
            d.increment("f", 0.5)
            if i % 10 == 0:
                d.apply("list", lambda old: [*old, 1], default=[])

    processes = [ctx.Process(target=add, args=(d,)) for _ in range(3)]
    for process in processes:
        process.start()
    threads = [threading.Thread(target=add, args=(d,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for one in [*processes, *threads]:
        one.join()
    assert d == {"n": 6000, "f": 3000.0, "list": [1] * 600}
