"""Calls that travel by marshal, and that whatever is not plain goes by cloudpickle: the same result in the child either way."""

from __future__ import annotations

import marshal
import os
import sys
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core import plain

atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
plain_values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)

DEFINITIONS = '''
import math, os
import xml.etree.ElementTree
SCALE = 3
TABLE = {"a": (1, 2.5, None)}
def nothing(): pass
def scaled(x: int, *, by: float = 2, also=(1, 2)) -> "int":
    """Says so."""
    return x * by * SCALE + sum(also)
def calls_others(x): return scaled(x) + helper(x) + math.floor(2.5)
def helper(x): return factorial(x) if x else 0
def factorial(n): return 1 if n < 2 else n * factorial(n - 1)
def inner_code(n): return [scaled(i) for i in range(n)] + list(map(lambda i: i + SCALE, range(n)))
def of_a_package(): return xml.etree.ElementTree.fromstring("<a b='c'/>").get("b")
class Thing:
    def method(self): return SCALE
def uses_a_class(): return Thing().method()
def marked(): return marked.note
marked.note = "kept"
def closing(n):
    def inside(): return n
    return inside
closed = closing(4)
small = lambda x: x + 1
def changes():
    global SCALE
    SCALE += 1
    return SCALE
def annotated(x: Thing) -> Thing: return "an annotation that is no value"
'''
PLAIN = {
    "nothing": (), "scaled": (2,), "calls_others": (4,), "helper": (3,), "factorial": (5,), "inner_code": (3,), "changes": (),
}  # fmt: skip
INTRICATE = {
    "of_a_package": (), "uses_a_class": (), "marked": (), "closed": (), "small": (1,), "annotated": (1,),
}  # fmt: skip


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A ``__main__`` with these definitions."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(compile(DEFINITIONS, "main.py", "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_call_is_the_same_in_another_main(main: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    modules: set[str] = set()
    function = getattr(main, name)
    sent = marshal.dumps(plain.plainly(function, PLAIN[name], {}, modules))
    expected, there = function(*PLAIN[name]), types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", there)
    target, args, kwargs = plain.loads(marshal.loads(sent))
    assert target(*args, **kwargs) == expected
    assert target is getattr(there, name)
    assert target.__globals__ is there.__dict__
    assert target.__module__ == "__main__"
    for attribute in ("__name__", "__qualname__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__"):
        assert getattr(target, attribute) == getattr(function, attribute)
    assert modules - {"builtins"} == ({"math"} if name == "calls_others" else set())


@pytest.mark.parametrize("name", INTRICATE)
def test_what_takes_more_is_refused(main: Any, name: str) -> None:
    with pytest.raises(plain.Intricate):
        plain.plainly(getattr(main, name), INTRICATE[name], {}, set())


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, [[[[[1]]]]], list(range(300)), type("Int", (int,), {})(3), lambda: 0, sys], ids=str
)
def test_arguments_that_are_not_plain_values(value: Any) -> None:
    with pytest.raises(plain.Intricate):
        plain.plainly(int, (value,), {}, set())
    with pytest.raises(plain.Intricate):
        plain.plainly(int, (), {"key": value}, set())


def test_a_target_is_found_by_its_name(main: Any) -> None:
    import os.path

    modules: set[str] = set()
    call = plain.plainly(os.path.join, ("a", "b"), {}, modules)
    target, args, _ = plain.loads(marshal.loads(marshal.dumps(call)))
    assert target is os.path.join
    assert args == ("a", "b")
    assert modules == {"posixpath"}
    impostor = types.FunctionType(os.path.join.__code__, {"__name__": "posixpath"}, "join")
    with pytest.raises(plain.Intricate):  # not what is found by its name
        plain.plainly(impostor, (), {}, set())


def test_functions_are_arguments_too(main: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import os.path

    sent = marshal.dumps(plain.plainly(map, (main.scaled, 2, os.path.join, main.factorial), {}, set()))
    there = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", there)
    target, args, _ = plain.loads(marshal.loads(sent))
    assert target is map
    assert args == (there.__dict__["scaled"], 2, os.path.join, there.__dict__["factorial"])
    assert args[0](2) == 15
    with pytest.raises(plain.Intricate):
        plain.plainly(map, (main.closed,), {}, set())


def test_modules_that_go_by_value_are_not_ours(main: Any) -> None:
    import json

    import cloudpickle

    cloudpickle.register_pickle_by_value(json)
    try:
        with pytest.raises(plain.Intricate):
            plain.plainly(main.nothing, (), {}, set())
    finally:
        cloudpickle.unregister_pickle_by_value(json)


@settings(max_examples=40 if os.environ.get("PROCESSION_SHORT") else 100, deadline=None)  # (to make them up takes longest)
@given(args=st.lists(plain_values, max_size=3), kwargs=st.dictionaries(st.text(), plain_values, max_size=3))
def test_plain_values_come_back_as_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    try:
        call = plain.plainly(dict, tuple(args), kwargs, set())
    except plain.Intricate:
        return  # nested too deeply
    _, came, options = plain.loads(marshal.loads(marshal.dumps(call)))
    assert came == tuple(args)
    assert options == kwargs
    assert [type(value) for value in came] == [type(value) for value in args]
