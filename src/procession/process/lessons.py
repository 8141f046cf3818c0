"""What a zygote should import: what the user demanded, and what the children so far have needed.

A child that gets its function by reference, or by value with a module among its globals, imports that module. To do so in each
child anew would make a start as slow as its imports; so the first start that needs a module has the zygote import it.
"""

from __future__ import annotations

import os
import sys
import warnings

__all__ = ["REFUSED", "Lessons"]

#: The exit code of a zygote that cannot go on: a module it imported has started threads, and a clone would lack them.
REFUSED = 77

#: What every zygote has, or must not import.
_KNOWN = {"__main__", "__mp_main__", "cloudpickle", "multiprocessing", "procession", *sys.builtin_module_names}
#: ... but for these of ours, which not every program needs: one brings cloudpickle, the others all that a pool's workers, and
#: the children of scopes, are made of.
_SOME = ("procession.core.pickling", "procession.pool.worker", "procession.scopes.child")


class Lessons:
    """The names of one process's zygote. Not thread-safe: the nursery's lock protects it."""

    def __init__(self) -> None:
        self._demanded: list[str] = []
        self._learned: dict[str, int] = {}  # name -> when its file was changed
        self._refused: set[str] = set()

    def all(self) -> list[str]:
        """What a new zygote imports."""
        return [*self._demanded, *self._learned]

    def demand(self, names: list[str]) -> bool:
        """The user wants these. True when that is news."""
        if names == self._demanded:
            return False
        self._demanded = list(names)
        return True

    def learn(self, modules: set[str]) -> tuple[list[str], bool]:
        """A child needs these. Returns the new names among them, and whether the file of a known one was changed since."""
        wanted = {name: _changed(name) for name in modules if self._is_lesson(name)}
        stale = any(self._learned.get(name, when) != when for name, when in wanted.items())
        new = [name for name in wanted if name not in self._learned]
        self._learned.update(wanted)
        return new, stale

    def _is_lesson(self, name: str) -> bool:
        ours = name.partition(".")[0] in _KNOWN and name not in _SOME
        return bool(name) and not ours and name in sys.modules and name not in self._refused

    def refuse(self) -> None:
        """The zygote has ended because of a thread: go without all of them."""
        if self._demanded:
            warnings.warn(
                f"modules not preloaded, one of them starts threads when it is imported: {', '.join(self._demanded)}",
                RuntimeWarning,
                stacklevel=2,
            )
        self._refused.update(self._learned)
        self._learned.clear()
        self._demanded.clear()


def _changed(name: str) -> int:
    """When the module's file was changed last; 0 for those of the interpreter's installation, which are not watched."""
    file = getattr(sys.modules[name], "__file__", None)
    if not file or file.startswith((sys.prefix, sys.base_prefix)):
        return 0
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0
