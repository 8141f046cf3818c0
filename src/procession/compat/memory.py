"""`multiprocessing.shared_memory`, `.sharedctypes` and `.heap`: ours, from the next import on; patched if they were imported.

To import ours at once would take some milliseconds of every process's start.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install", "uninstall"]

#: Of theirs: what is ours, and the names that are replaced where theirs was imported already.
_OURS = {
    "shared_memory": ("SharedMemory", "ShareableList"),
    "sharedctypes": (
        "Value", "Array", "RawValue", "RawArray", "copy", "synchronized", "Synchronized", "SynchronizedArray",
        "SynchronizedBase", "SynchronizedString", "reduce_ctype", "rebuild_ctype", "make_property",
    ),
    "heap": ("Arena", "BufferWrapper", "Heap"),
}  # fmt: skip


class _Finder:
    """Finds our modules under their names."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, short = name.rpartition(".")
        if package != "multiprocessing" or short not in _OURS:
            return None
        return ModuleSpec(name, self, origin=f"procession.share.{short}")  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(spec.origin or "")
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # (the import has put another there)


_finder = _Finder()


def install(replace: Callable[[Any, str, Any], None]) -> None:
    """Make them ours; `replace(owner, name, value)` remembers what was there."""
    for short, names in _OURS.items():
        theirs = sys.modules.get(f"multiprocessing.{short}")
        if theirs is not None:
            ours = import_module(f"procession.share.{short}")
            for name in names:
                replace(theirs, name, getattr(ours, name))
    managers = sys.modules.get("multiprocessing.managers")
    if managers is not None:
        replace(managers, "shared_memory", import_module("procession.share.shared_memory"))
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """The next import finds theirs again."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for short in _OURS:
        module = sys.modules.get(f"multiprocessing.{short}")
        if module is None or module.__name__.startswith("multiprocessing"):
            continue
        del sys.modules[f"multiprocessing.{short}"]
        delattr(multiprocessing, short)
        managers: Any = sys.modules.get("multiprocessing.managers")
        if short == "shared_memory" and managers is not None and managers.shared_memory is module:
            managers.shared_memory = import_module("multiprocessing.shared_memory")
