"""`multiprocessing.pool` and `concurrent.futures.process`: their pools are ours, for whoever takes them from these modules.

Inside, the modules stay as they are: ThreadPool is derived from their own Pool, whose methods look for that, and for what it
returns, among the names of their module. So these names keep their values, and only whoever looks from outside (``pool.Pool``,
``from multiprocessing.pool import Pool``) finds ours. Ours are imported when somebody looks, not when the modules are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from procession.compat.modules import after_import

__all__ = ["install"]


class _Ours:
    """A name of a module that means ours. Whoever sets it (a test that patches it) sets it until it is what it was."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._set: dict[str, Any] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, module: ModuleType | None, owner: type) -> Any:
        if module is None:
            return self
        if self._set:
            return self._set[self._name]
        # What ours does not have (yet: while it is being imported it may ask for theirs) stays theirs.
        return getattr(import_module(self._home), self._name, vars(module)[self._name])

    def __set__(self, module: ModuleType, value: Any) -> None:
        self._set.clear()
        if value is not vars(module)[self._name]:
            self._set[self._name] = value

    def __delete__(self, module: ModuleType) -> None:
        self._set.clear()


class PoolModule(ModuleType):
    """What the class of the module `multiprocessing.pool` becomes. (Ours takes ThreadPool and the exceptions from there.)"""

    Pool = _Ours("procession.pool")
    ApplyResult = _Ours("procession.pool")
    AsyncResult = _Ours("procession.pool")
    MapResult = _Ours("procession.pool")
    IMapIterator = _Ours("procession.pool")
    IMapUnorderedIterator = _Ours("procession.pool")


class ExecutorModule(ModuleType):
    """What the class of the module `concurrent.futures.process` becomes."""

    ProcessPoolExecutor = _Ours("procession.pool")


_CLASSES: dict[str, type[ModuleType]] = {"multiprocessing.pool": PoolModule, "concurrent.futures.process": ExecutorModule}
_EXECUTOR = "ProcessPoolExecutor"


def install(put: Callable[[Any, str, Any], None]) -> Callable[[], None]:
    """Make them ours, now or when they are imported; `put(owner, name, value)` remembers what was there. Returns what calls
    that off, to be called before the former values are put back."""
    stop = after_import(_CLASSES, lambda module: put(module, "__class__", _CLASSES[module.__name__]))
    futures = sys.modules.get("concurrent.futures")
    if futures is not None and _EXECUTOR in vars(futures):  # it keeps what it was asked for once
        put(futures, _EXECUTOR, sys.modules["concurrent.futures.process"].ProcessPoolExecutor)

    def call_off() -> None:
        stop()
        futures = sys.modules.get("concurrent.futures")
        if futures is not None:
            vars(futures).pop(_EXECUTOR, None)  # it will look for it anew

    return call_off
