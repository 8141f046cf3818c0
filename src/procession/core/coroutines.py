"""Coroutine functions where a plain function is expected: as a process's target, its `run`, a pool's initializer."""

from __future__ import annotations

from collections.abc import Coroutine
from types import CoroutineType
from typing import Any

__all__ = ["expect", "finished", "is_coroutine_function", "pending"]

_CO_COROUTINE = 0x80  # (inspect.CO_COROUTINE; `inspect` takes a while to import)


def is_coroutine_function(function: Any) -> bool:
    """Whether to call it gives a coroutine, as far as can be seen without calling it: an ``async def``, a method that is one, a
    partial of one, an object whose class has an ``async def __call__``. Does not block, and runs nothing of the user's."""
    for _ in range(100):  # (a partial may be in a circle)
        inner = getattr(function, "func", None) if type(function).__name__ == "partial" else None
        inner = inner if inner is not None else getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    code = getattr(function, "__code__", None)
    if code is None and not isinstance(function, type):
        calls = (vars(kind).get("__call__") for kind in type(function).__mro__)
        code = getattr(next(filter(None, calls), None), "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _CO_COROUTINE)


def pending(value: Any) -> Coroutine[Any, Any, Any] | None:
    """What is still to be awaited of what a call returned: a coroutine; of a list of them one that awaits them one after
    another, for the list of what comes of them. None: nothing is."""
    if type(value) is CoroutineType:
        return value
    if type(value) is list and value and all(type(one) is CoroutineType for one in value):
        return _in_turn(value)
    return None


async def _in_turn(made: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    try:
        return [await one for one in made]
    finally:
        for one in made:  # (those behind one that raised have not begun)
            one.close()


def expect(modules: set[str]) -> None:
    """Some child will call `finished`: add what it needs, which takes it 50 ms to import, to the modules that its zygote has to
    learn. (Which learns only what is here as well.)"""
    import asyncio

    modules.add(asyncio.__name__)


def finished(result: Any) -> Any:
    """What a call returned; if that is a coroutine, what comes of it: it is run to its end in an event loop of its own
    (`asyncio.run`). For the main thread of a process in which no loop runs. Blocks; raises what the coroutine raises; Ctrl-C
    cancels it."""
    if type(result) is not CoroutineType:
        return result
    import asyncio

    return asyncio.run(result)
