"""Makes names of the standard library's modules ours: at once in a module that was imported, else as soon as it is, so that
`install()` imports nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Container, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import CellType, FunctionType, ModuleType
from typing import Any

__all__ = ["HOMES", "after_import", "replace"]

#: Module, name there: the module of ours that has the name.
HOMES: dict[str, dict[str, str]] = {
    "multiprocessing.connection": {
        "Connection": "connection", "Pipe": "connection", "wait": "connection", "Listener": "listener", "Client": "listener",
    },
    "multiprocessing.queues": {"Queue": "queues", "JoinableQueue": "queues", "SimpleQueue": "queues"},
}  # fmt: skip


#: Left alone if it was imported before: what was derived from its classes goes on with them, and they with each other by name.
_ONLY_NEW = ("multiprocessing.queues",)


class _Finder:
    """Finds these modules where they are, and tells when one has been executed."""

    def __init__(self, names: Container[str], done: Callable[[ModuleType], None]) -> None:
        self._names = names
        self._done = done

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._done(module)

            loader.exec_module = exec_module
        return spec


def after_import(names: Collection[str], done: Callable[[ModuleType], None], old: Container[str] = ()) -> Callable[[], None]:
    """Call ``done(module)`` for each of these modules, now or when it is imported; not for those of `old` that were imported
    before. Returns what calls that off."""
    finder: Any = _Finder(names, done)
    for name in names:
        if name in sys.modules and name not in old:
            done(sys.modules[name])
    if any(name not in sys.modules for name in names):
        sys.meta_path.insert(0, finder)

    def call_off() -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)

    return call_off


def rebased(cls: Any, base: type) -> Any:
    """A class like `cls`, derived from `base` instead: with copies of its methods, in which ``super()`` knows the new one."""
    space = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    new = type(cls.__name__, (base,), space)
    for name, method in space.items():
        if isinstance(method, FunctionType) and "__class__" in method.__code__.co_freevars:
            cells = [CellType(new) if free == "__class__" else cell
                     for free, cell in zip(method.__code__.co_freevars, method.__closure__ or (), strict=True)]
            copy = FunctionType(method.__code__, method.__globals__, name, method.__defaults__, tuple(cells))
            copy.__kwdefaults__ = method.__kwdefaults__
            setattr(new, name, copy)
    return new


def replace(put: Callable[[Any, str, Any], None]) -> Callable[[], None]:
    """Call ``put(module, name, ours)`` for each name, now or when its module is imported. Returns what calls that off."""

    def done(module: ModuleType) -> None:
        for name, home in HOMES[module.__name__].items():
            put(module, name, getattr(import_module(f"procession.share.{home}"), name))

    executors = sys.modules.get("concurrent.futures.process")
    if executors is not None:  # in its children, which install ours first, its queue will be derived from ours
        put(executors, "_SafeQueue", rebased(executors._SafeQueue, import_module("procession.share.queues").Queue))
    return after_import(HOMES, done, _ONLY_NEW)
