"""Makes `multiprocessing.connection` ours: at once if it was imported, else as soon as it is, which takes 10 ms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["NAMES", "replace"]

_MODULE = "multiprocessing.connection"
_HOMES = {"Connection": "connection", "Pipe": "connection", "wait": "connection", "Listener": "listener", "Client": "listener"}
NAMES = tuple(_HOMES)


class _Finder:
    """Finds that one module where it is, and tells when it has been executed."""

    def __init__(self, done: Callable[[ModuleType], None]) -> None:
        self._done = done

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == _MODULE else None
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._done(module)

            loader.exec_module = exec_module
        return spec


def replace(put: Callable[[Any, str, Any], None]) -> Callable[[], None]:
    """Call ``put(module, name, ours)`` for each name, now or when the module is imported. Returns what calls that off."""

    def done(module: ModuleType) -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        from importlib import import_module

        for name, home in _HOMES.items():
            put(module, name, getattr(import_module(f"procession.share.{home}"), name))

    def call_off() -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)

    finder: Any = _Finder(done)
    module = sys.modules.get(_MODULE)
    if module is None:
        sys.meta_path.insert(0, finder)
    else:
        done(module)
    return call_off
