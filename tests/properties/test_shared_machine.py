"""Three processes do anything in any order with a SharedDict and a SharedList, and are killed: these must be as a dict and a
list are to which the same was done."""

from __future__ import annotations

import os
from typing import Any

from actors import Actor, keep, kept
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from procession import SharedDict, SharedList

HALVES = st.integers(-4, 4).map(lambda number: number / 2)
SMALL = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), HALVES, st.text("ab", max_size=2), st.binary(max_size=1))
ANY = st.one_of(SMALL, st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
KEYS = st.one_of(SMALL, SMALL, ANY, st.tuples(SMALL, SMALL))
BIG = st.tuples(st.sampled_from("xy"), st.sampled_from([900, 5000, 140_000])).map(lambda pair: pair[0] * pair[1])
VALUES = st.one_of(ANY, st.lists(ANY, max_size=3), st.dictionaries(SMALL, ANY, max_size=3), BIG)
INDEX = st.integers(-12, 12)
SLICE = st.builds(slice, st.none() | INDEX, st.none() | INDEX, st.none() | st.integers(-3, 3).filter(bool))
WHO = st.integers(-1, 1)  #: -1: this process


def outcome(thing: Any, name: str, *args: Any) -> Any:
    """What the method gives, or which error."""
    try:
        result = getattr(thing, name)(*args)
    except Exception as error:
        return type(error)
    return None if result is thing else result


def there(which: int, name: str, *args: Any) -> Any:
    return outcome(kept()[which], name, *args)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shared: tuple[Any, Any] = SharedDict(), SharedList()
        self.models: tuple[dict[Any, Any], list[Any]] = {}, []
        self.actors = [self.new_actor() for _ in range(2)]

    def new_actor(self) -> Actor:
        actor = Actor()
        actor(keep, self.shared)
        return actor

    def teardown(self) -> None:
        for actor in self.actors:
            actor.close()

    def both(self, who: int, which: int, name: str, *args: Any) -> None:
        """The same to the model and to the shared one, there by whom it is to be; they must agree, to the types."""
        expected = outcome(self.models[which], name, *args)
        here = who < 0
        got = outcome(self.shared[which], name, *args) if here else self.actors[who](there, which, name, *args)
        assert repr(got) == repr(expected)

    # --- the dict ---

    @rule(who=WHO, key=KEYS, value=VALUES)
    def put(self, who: int, key: Any, value: Any) -> None:
        self.both(who, 0, "__setitem__", key, value)

    @rule(who=WHO, name=st.sampled_from(["__getitem__", "get", "__delitem__", "pop", "__contains__"]), key=KEYS)
    def with_key(self, who: int, name: str, key: Any) -> None:
        self.both(who, 0, name, key)

    @rule(who=WHO, name=st.sampled_from(["get", "pop", "setdefault"]), key=KEYS, value=VALUES)
    def with_default(self, who: int, name: str, key: Any, value: Any) -> None:
        self.both(who, 0, name, key, value)

    @rule(who=WHO, items=st.dictionaries(KEYS, VALUES, max_size=30))
    def update(self, who: int, items: dict[Any, Any]) -> None:
        self.both(who, 0, "update", items)

    @rule(who=WHO, key=KEYS, number=st.integers(-5, 5) | st.integers())
    def increment(self, who: int, key: Any, number: int) -> None:
        value = self.models[0].get(key, 0)
        if type(value) is bool or not isinstance(value, (int, float)):
            return
        self.models[0][key] = value + number
        if who < 0:
            self.shared[0].increment(key, number)
        else:
            self.actors[who](there, 0, "increment", key, number)

    # --- the list ---

    @rule(who=WHO, name=st.sampled_from(["append", "count", "__contains__", "remove", "index"]), value=SMALL | VALUES)
    def with_value(self, who: int, name: str, value: Any) -> None:
        self.both(who, 1, name, value)

    @rule(who=WHO, name=st.sampled_from(["__getitem__", "__delitem__", "pop"]), index=INDEX)
    def with_index(self, who: int, name: str, index: int) -> None:
        self.both(who, 1, name, index)

    @rule(who=WHO, name=st.sampled_from(["__setitem__", "insert"]), index=INDEX, value=VALUES)
    def put_at(self, who: int, name: str, index: int, value: Any) -> None:
        self.both(who, 1, name, index, value)

    @rule(who=WHO, name=st.sampled_from(["__getitem__", "__delitem__"]), part=SLICE)
    def with_slice(self, who: int, name: str, part: slice) -> None:
        self.both(who, 1, name, part)

    @rule(who=WHO, part=SLICE, values=st.lists(VALUES, max_size=12))
    def put_slice(self, who: int, part: slice, values: list[Any]) -> None:
        self.both(who, 1, "__setitem__", part, values)

    @rule(who=WHO, name=st.sampled_from(["extend", "__iadd__"]), values=st.lists(VALUES, max_size=30))
    def extend(self, who: int, name: str, values: list[Any]) -> None:
        self.models[1].extend(values)
        (outcome(self.shared[1], name, values) if who < 0 else self.actors[who](there, 1, "extend", values))

    @rule(who=WHO)
    def sort(self, who: int) -> None:
        self.models[1].sort(key=repr)
        if who < 0:
            self.shared[1].sort(key=repr)
        else:
            self.actors[who](lambda: kept()[1].sort(key=repr))

    # --- both ---

    @rule(who=WHO, which=st.integers(0, 1), name=st.sampled_from(["popitem", "reverse", "__len__", "copy", "clear"]))
    def simply(self, who: int, which: int, name: str) -> None:
        if hasattr(self.models[which], name):
            self.both(who, which, name)

    @rule(who=st.integers(0, 1))
    def kill(self, who: int) -> None:
        self.actors[who].kill()
        self.actors[who].close()
        self.actors[who] = self.new_actor()

    @invariant()
    def all_is_as_the_models_say(self) -> None:
        for shared, model in zip(self.shared, self.models, strict=True):
            assert len(shared) == len(model)
            assert repr(shared.copy()) == repr(model)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=7 if os.environ.get("PROCESSION_SHORT") else 15, stateful_step_count=50,
    derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # (to shrink takes minutes, with processes)
)  # fmt: skip
