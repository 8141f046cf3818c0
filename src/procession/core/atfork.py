"""Which of the handlers registered with `os.register_at_fork` a zygote's clones need.

A clone of a process with one thread needs none of those that only put locks and threads in order. When all that are
registered are such, they are left out: running them writes some 200 pages of memory in each new process. As soon as one is
registered by anybody else, all are run, as `os.fork()` does.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["by_the_book", "unwatch", "watch"]

#: Modules whose handlers only put locks and threads in order; what else they do, the spare does itself (`spare.py`).
_HARMLESS = {
    "asyncio.events", "concurrent.futures.thread", "logging", "procession.core.forkhooks", "random", "threading",
}  # fmt: skip

_original = os.register_at_fork
_others: list[str] = []


def watch() -> None:
    """Look at each registration from now on. Call it before anything else is imported."""
    if "threading" in sys.modules:  # somebody was earlier (a .pth file of the environment): what it registered is not known
        _others.append("unknown")
    os.register_at_fork = _register


def unwatch() -> None:
    """In a child: the user has the original."""
    os.register_at_fork = _original


def _register(**handlers: Any) -> None:
    module = sys._getframe(1).f_globals.get("__name__", "unknown")
    if module not in _HARMLESS:
        _others.append(module)
    _original(**handlers)


def by_the_book() -> bool:
    """Whether the handlers must be run."""
    return bool(_others)
