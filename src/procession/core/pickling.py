"""How a process travels to its child: cloudpickle, with `multiprocessing`'s reducers for descriptors and locks.

Functions and classes of ``__main__`` go by value and are at home in the child's ``__main__`` again: all functions share
one global namespace there, and an object of a class of ``__main__`` pickles back by reference.
"""

from __future__ import annotations

import copyreg
import io
import marshal
import pickle
import sys
import types
from typing import Any

import cloudpickle

from procession.core import tracker
from procession.core.stdlib import mp_context, mp_reduction

__all__ = ["dumps", "first_unpicklable", "loads"]


def _main_globals() -> dict[str, Any]:
    return sys.modules["__main__"].__dict__


class _MainGlobals(dict[str, Any]):
    """Stands for ``__main__.__dict__`` in a pickle, and becomes the child's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _main_globals, ()


def _refer_main() -> Any:
    return sys.modules["__main__"]


def _reduce_code(code: types.CodeType) -> tuple[Any, ...]:
    """The child has the same interpreter: its own format is quicker than cloudpickle's, which is for all versions."""
    return marshal.loads, (marshal.dumps(code),)


_CALLABLES = {types.FunctionType, types.BuiltinFunctionType, type}

#: The words of the pickles' own grammar: there is nothing to find out about them.
_GRAMMAR: set[Any] = {
    _main_globals, _refer_main, marshal.loads, types.CodeType,
    *(thing for thing in vars(cloudpickle.cloudpickle).values() if isinstance(thing, types.FunctionType)),
}  # fmt: skip


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Remembers in `definitions` the classes and functions of ``__main__`` that it meets."""

    def __init__(self, file: io.BytesIO) -> None:
        # Before the base class's: C looks the table up there, once; and a plain dict is asked without a call.
        self.dispatch_table = {
            **copyreg.dispatch_table,
            **cloudpickle.Pickler._dispatch_table,
            **mp_reduction.ForkingPickler._extra_reducers,
            types.CodeType: _reduce_code,
        }
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.definitions: dict[str, Any] = {}
        self.modules: set[str] = set()
        synchronize = sys.modules.get("multiprocessing.synchronize")
        self._semaphore: Any = vars(synchronize).get("SemLock", ()) if synchronize is not None else ()
        main = sys.modules.get("__main__")
        self._main = main
        if main is not None:
            self.globals_ref[id(main.__dict__)] = _MainGlobals(__name__="__main__")

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in _CALLABLES and obj in _GRAMMAR:
            return NotImplemented
        if isinstance(obj, self._semaphore):
            # Its name in the system goes with the parent's last reference, perhaps our caller's: keep it for the child.
            popen = mp_context.get_spawning_popen()
            if popen is not None:
                popen._kept.append(obj)
        if obj is self._main:
            return _refer_main, ()
        if isinstance(obj, types.ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, (type, types.FunctionType, types.BuiltinFunctionType)) and obj.__module__ is not None:
            self.modules.add(obj.__module__)  # (a method of an object of a type in C has none)
        if getattr(obj, "__module__", None) == "__main__" and (isinstance(obj, type) or hasattr(obj, "__code__")):
            name = getattr(obj, "__qualname__", "")
            if name.isidentifier() and getattr(self._main, name, None) is obj:
                self.definitions[name] = obj
        return super().reducer_override(obj)


def dumps(obj: Any, modules: set[str] | None = None) -> bytes:
    """Pickle `obj` for a child. The names of the modules that the child will need are added to `modules`."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    # The list is pickled in order: by the time the definitions are reached, `obj` has filled them.
    pickler.dump([tracker.current(), obj, pickler.definitions])
    if modules is not None:
        modules |= pickler.modules
    return file.getvalue()


def loads(data: bytes | memoryview) -> Any:
    """Undo `dumps`, in the child."""
    _, obj, definitions = pickle.loads(data)
    space = _main_globals()
    for name, value in definitions.items():
        space.setdefault(name, value)
    return obj


def first_unpicklable(parts: dict[str, Any]) -> tuple[str, str] | None:
    """Which of the named parts cannot be pickled, and why: for the message of the error."""
    for name, part in parts.items():
        try:
            dumps(part)
        except Exception as error:
            return name, f"{type(error).__name__}: {error}"
    return None
