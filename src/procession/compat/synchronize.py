"""Stands in for the module `multiprocessing.synchronize`: its classes are ours. The rest is its own, imported on demand."""

from __future__ import annotations

from typing import Any

__all__ = ["NAMES"]

NAMES = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
_HOMES = {
    "Lock": "locks", "RLock": "locks", "Semaphore": "semaphores", "BoundedSemaphore": "semaphores",
    "SEM_VALUE_MAX": "semaphores", "Condition": "condition", "Event": "event", "Barrier": "barrier",
}  # fmt: skip
_original: Any = None


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"procession.sync.{_HOMES[name]}"), name)
    else:
        value = getattr(_theirs(), name)
    globals()[name] = value
    return value


def _theirs() -> Any:
    """The standard library's module, beside ours in `sys.modules`."""
    global _original
    if _original is None:
        from importlib import util
        from multiprocessing import context

        path = context.__file__.replace("context", "synchronize")
        spec = util.spec_from_file_location("multiprocessing.synchronize", path)
        assert spec is not None
        assert spec.loader is not None
        _original = util.module_from_spec(spec)
        spec.loader.exec_module(_original)
    return _original
