"""Functions go to the workers once, not with every task: under a key, in a table in the family's memory.

What goes there is a plain function, a builtin or a class, because they stay what they are. A function that travels by value
takes values with it, of its closure and of the globals that it names: it gets a new key as soon as one of these is another
object. (A list that was changed in place is the same object: hand such things over as arguments.) Everything else that can be
called, bound methods and partials among them, has a state of its own and travels with each task.
"""

from __future__ import annotations

import builtins
import functools
import marshal
import os
import threading
import types
import weakref
from typing import Any

from procession.core import plain
from procession.core.coroutines import is_coroutine_function
from procession.pool.messages import COROUTINE
from procession.process.nursery import nursery
from procession.share.mapping import SharedDict

__all__ = ["Functions", "Loader", "received", "sent"]

_KINDS = (types.FunctionType, types.BuiltinFunctionType, type)


class Functions:
    """The pool's side. Threads may share it."""

    def __init__(self) -> None:
        self.table: Any = SharedDict()
        self._known: weakref.WeakKeyDictionary[Any, _Known] = weakref.WeakKeyDictionary()
        self._watched: dict[int, weakref.ref[Any]] = {}  # (goes with us; a finalizer would keep us for the function)
        self._lock = threading.RLock()
        self._next = 1
        self._pid = os.getpid()
        self._last = _NONE  # that was asked for last

    def key_of(self, function: Any) -> int:
        """Its key, with COROUTINE if it is a coroutine function; 0 if it has none and travels with the task. Writes it down if
        it is new; raises what pickling raises."""
        known: _Known = self._last
        if known.function() is function and known.is_fresh(function):
            return known.tag
        if type(function) not in _KINDS or _is_bound(function):
            return 0
        with self._lock:
            try:
                found = self._known.get(function)
            except TypeError:  # (it takes no weak references: some builtins)
                return 0
            known = found if found is not None and found.is_fresh(function) else self._add(function)
            self._last = known
            return known.tag

    def _add(self, function: Any) -> _Known:
        known = _Known(self._next, function)
        self.table[known.key] = _written(function)  # (what this raises is raised the next time, too)
        self._known[function] = known
        self._next += 1
        self._watched[known.key] = weakref.ref(function, functools.partial(_gone, weakref.ref(self), known.key))
        return known

    def drop(self, key: int) -> None:
        """It is needed no more."""
        self._watched.pop(key, None)
        try:
            if self._last.key == key:
                self._last = _NONE  # (it has the values that went with the function, which may be a queue of this pool)
            if self._pid == os.getpid():  # (else a fork's copy has died, and the table is the parent's, too)
                del self.table[key]
        except Exception:  # (the family's memory may be gone, and at the exit all that we call)
            pass


def _gone(functions: weakref.ref[Functions], key: int, _: Any) -> None:
    if (here := functions()) is not None:
        here.drop(key)


class Loader:
    """The worker's side."""

    MOST = 512

    def __init__(self, table: Any) -> None:
        self.table = table
        self.known: dict[int, Any] = {}

    def load(self, key: int) -> Any:
        """The function of a key that is not known yet. Raises what unpickling raises."""
        function = _read(self.table[key])
        self.known[key] = function
        if len(self.known) > self.MOST:
            del self.known[next(iter(self.known))]  # the oldest
        return function


def sent(function: Any) -> Any:
    """For who has no table to put it into: itself if pickle finds it by its name, else bytes. Raises what pickling raises."""
    return _written(function) if type(function) in (types.FunctionType, type) and _is_of_main(function) else function


def received(function: Any) -> Any:
    """Undo `sent`."""
    return _read(function) if type(function) is bytes else function


def _written(function: Any) -> bytes:
    """As the target of a process travels: by marshal if it is simple, else by cloudpickle."""
    modules: set[str] = set()
    try:
        data = b"m" + marshal.dumps(plain.plainly(function, (), {}, modules))
    except (plain.Intricate, ValueError):
        from procession.core import pickling

        data = b"p" + pickling.dumps(function, modules)
    nursery.learn(modules)  # workers to come have them
    return data


def _read(data: bytes) -> Any:
    if data[:1] == b"m":
        return plain.loads(marshal.loads(data[1:]))[0]
    from procession.core import pickling

    return pickling.loads(data[1:])


def _is_bound(function: Any) -> bool:
    """A builtin method of an object; those of modules are functions."""
    owner = getattr(function, "__self__", None) if isinstance(function, types.BuiltinFunctionType) else None
    return owner is not None and not isinstance(owner, types.ModuleType)


def _is_of_main(function: Any) -> bool:
    return function.__module__ in ("__main__", "__mp_main__", None) or "<" in function.__qualname__


class _Known:
    """A function that was written down, and the values that went with it: those of its closure and of the globals that it
    names, and with functions among these their own. One that is found by its name took none."""

    __slots__ = ("_by_name", "_cells", "_code", "_defaults", "_globals", "_others", "function", "key", "tag")

    def __init__(self, key: int, function: Any, seen: tuple[Any, ...] = ()) -> None:
        self.key: int = key
        self.tag: int = key | COROUTINE if is_coroutine_function(function) else key
        self.function: Any = weakref.ref(function)
        self._by_name = not isinstance(function, types.FunctionType) or not (function.__closure__ or _is_of_main(function))
        if self._by_name:
            return
        self._code, self._defaults = function.__code__, function.__defaults__
        space = function.__globals__
        names = [name for name in _names(self._code) if not hasattr(builtins, name) or name in space]
        self._globals = [(name, value) for name in names if (value := space.get(name, _NONE)) is not function]
        self._cells = [(cell, _content(cell)) for cell in function.__closure__ or () if _content(cell) is not function]
        seen = (*seen, function)
        others = [value for _, value in (*self._globals, *self._cells) if isinstance(value, types.FunctionType)]
        self._others = [(other, known) for other in others if not any(other is one for one in seen)
                        and not (known := _Known(0, other, seen))._by_name]  # fmt: skip

    def is_fresh(self, function: Any) -> bool:
        """Whether it would be the same if it were written down now."""
        if self._by_name:
            return True
        if function.__code__ is not self._code or function.__defaults__ is not self._defaults:
            return False
        space = function.__globals__
        for name, value in self._globals:
            if space.get(name, _NONE) is not value:  # (a name that was missing may be there now)
                return False
        for cell, value in self._cells:
            if _content(cell) is not value:
                return False
        return not self._others or all(known.is_fresh(other) for other, known in self._others)


def _names(code: types.CodeType) -> set[str]:
    """The globals that it names, in comprehensions and functions within it, too."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


class _Nothing:
    """What is known of no function."""

    key = tag = 0

    def function(self) -> Any:
        return self

    def is_fresh(self, function: Any) -> bool:
        return False


_NONE: Any = _Nothing()
