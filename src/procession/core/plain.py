"""Calls that are so plain that they travel without pickle: marshal alone writes and reads them.

Most starts are of a simple function with simple arguments. For such a call this takes a fifth of cloudpickle's time and, in the
child, writes a hundred pages of memory fewer. Whatever is not plain is refused (`Intricate`) and goes by cloudpickle, so a
refusal costs a few microseconds and changes nothing. The child has the same interpreter: marshal's format is always the same.

A call is plain when its target is found by its name in an importable module, or is a function of ``__main__`` without a closure
or attributes, whose globals are modules, plain values, and functions of these two kinds; and its arguments are plain values,
functions of these kinds, or handles of shared objects, which are some numbers (`_Handle`).
"""

from __future__ import annotations

import sys
import types
from typing import Any

from procession import _native

__all__ = ["Intricate", "loads", "plainly"]


class Intricate(Exception):
    """It is not plain: cloudpickle knows what to do."""


_ATOMS = {type(None), bool, int, float, complex, str, bytes}
_NAMED = {types.FunctionType, types.BuiltinFunctionType, type}
#: Where the classes of shared objects are that pickle to numbers.
_SHARED = ("procession.share.queues", "procession.share.mapping", "procession.pool.tokens")
#: More than this is not worth looking through.
_MOST = 256

#: How a thing is described: the value itself, a module, a name in a module, a function of ``__main__``.
_VALUE, _MODULE, _NAME, _FUNCTION = range(4)


def plainly(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], modules: set[str]) -> tuple[Any, ...]:
    """Describe the call by plain values. The modules that it needs are added to `modules`. Raises Intricate."""
    cloudpickle: Any = sys.modules.get("cloudpickle.cloudpickle")
    if cloudpickle is not None and cloudpickle._PICKLE_BY_VALUE_MODULES:
        raise Intricate  # (modules whose functions the user wants to go by value)
    handles = {at: arg for at, arg in enumerate(args) if type(arg).__module__.startswith(_SHARED)}
    things = {at: arg for at, arg in enumerate(args) if type(arg) in _NAMED}
    if handles or things:
        args = tuple(None if at in handles or at in things else arg for at, arg in enumerate(args))
    _check_plain(args, 4)
    _check_plain(kwargs, 4)
    describing = _Describing(modules)
    described = describing.thing(target)
    given = {at: describing.thing(thing) for at, thing in things.items()}
    # Last, when nothing can be refused any more: with this they are under way.
    return described, describing.functions, args, kwargs, {at: _handle(handle) for at, handle in handles.items()}, given


def _handle(handle: Any) -> tuple[str, str, str, tuple[Any, ...]]:
    """What a handle of a shared object pickles to: a function of the core, a class, numbers."""
    receive, (kind, *numbers) = handle.__reduce__()
    return receive.__name__, kind.__module__, kind.__qualname__, tuple(numbers)


def _received(described: tuple[str, str, str, tuple[Any, ...]]) -> Any:
    receive, module, name, numbers = described
    return getattr(_native, receive)(getattr(_imported(module), name), *numbers)


def _check_plain(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _ATOMS:
        return
    if depth == 0 or kind not in (tuple, list, dict) or len(value) > _MOST:
        raise Intricate
    for item in value:
        _check_plain(item, depth - 1)
    if kind is dict:
        for item in value.values():
            _check_plain(item, depth - 1)


class _Describing:
    """The functions of ``__main__`` that a call needs, each once."""

    def __init__(self, modules: set[str]) -> None:
        self.functions: dict[str, Any] = {}  #: the name that it is found by -> its description
        self._modules = modules
        self._main: dict[str, Any] = sys.modules["__main__"].__dict__

    def thing(self, thing: Any) -> tuple[int, Any]:
        kind: Any = type(thing)
        if kind in _NAMED:
            if thing.__module__ in ("__main__", "__mp_main__"):
                return _FUNCTION, self._function(thing)
            return _NAME, self._name(thing)
        if kind is types.ModuleType:
            return _MODULE, self._module(thing)
        _check_plain(thing, 2)
        return _VALUE, thing

    def _module(self, module: Any) -> str:
        name: str = module.__name__
        if sys.modules.get(name) is not module or hasattr(module, "__path__") or name in ("__main__", "__mp_main__"):
            raise Intricate  # (of a package the submodules in use would have to be known)
        self._modules.add(name)
        return name

    def _name(self, thing: Any) -> tuple[str, str]:
        name, path = thing.__module__, thing.__qualname__
        found: Any = sys.modules.get(name)
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not thing:
            raise Intricate
        self._modules.add(name)
        return name, path

    def _function(self, thing: Any) -> str:
        if not isinstance(thing, types.FunctionType) or not _is_simple(thing):
            raise Intricate
        function, name = thing, thing.__name__
        if self._main.get(name) is not thing:
            raise Intricate
        if name not in self.functions:
            self.functions[name] = None  # (it may call itself)
            code = function.__code__
            annotations = {key: self.thing(value) for key, value in function.__annotations__.items()}
            self.functions[name] = (
                code, function.__qualname__, function.__doc__, function.__defaults__, function.__kwdefaults__,
                annotations, self._globals(code),
            )  # fmt: skip
        return name

    def _globals(self, code: types.CodeType) -> dict[str, tuple[int, Any]]:
        main = self._main
        found = {name: self.thing(main[name]) for name in code.co_names if name in main}
        for inner in code.co_consts:
            if type(inner) is types.CodeType:
                found |= self._globals(inner)
        return found


def _is_simple(function: types.FunctionType) -> bool:
    if function.__closure__ or function.__dict__ or function.__globals__ is not sys.modules["__main__"].__dict__:
        return False
    later: Any = function
    if getattr(later, "__annotate__", None) is not None or getattr(later, "__type_params__", None):  # (Python 3.14, 3.12)
        return False
    _check_plain(function.__defaults__, 2)
    _check_plain(function.__kwdefaults__, 2)
    return type(function.__doc__) in _ATOMS


def loads(call: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """In the child: target, arguments and keyword arguments. The functions of ``__main__`` are at home in its ``__main__``."""
    target, functions, args, kwargs, handles, given = call
    if handles:
        args = tuple(_received(handles[at]) if at in handles else arg for at, arg in enumerate(args))
    made: dict[str, Any] = {}
    if functions:
        main = sys.modules["__main__"].__dict__
        for name, parts in functions.items():
            made[name] = function = _make(name, parts, main)
            main.setdefault(name, function)
        for name, function in made.items():
            _, _, _, _, _, annotations, used = functions[name]
            for key, thing in used.items():
                main[key] = _find(thing, made)
            if annotations:
                function.__annotations__ = {key: _find(thing, made) for key, thing in annotations.items()}
    if given:
        args = tuple(_find(given[at], made) if at in given else arg for at, arg in enumerate(args))
    return _find(target, made), args, kwargs


def _make(name: str, parts: tuple[Any, ...], main: dict[str, Any]) -> types.FunctionType:
    code, qualname, doc, defaults, kwdefaults, _, _ = parts
    function = types.FunctionType(code, main, name, defaults)
    if qualname != name:
        function.__qualname__ = qualname
    if kwdefaults:
        function.__kwdefaults__ = kwdefaults
    if doc != function.__doc__:
        function.__doc__ = doc
    return function


def _find(described: tuple[int, Any], made: dict[str, Any]) -> Any:
    kind, what = described
    if kind == _VALUE:
        return what
    if kind == _FUNCTION:
        return made[what]
    if kind == _MODULE:
        return _imported(what)
    module, path = what
    found = _imported(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _imported(name: str) -> Any:
    module = sys.modules.get(name)
    if module is None:
        __import__(name)
        module = sys.modules[name]
    return module
