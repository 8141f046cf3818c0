"""What becomes of pools when the interpreter exits."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["PATIENCE", "register"]

#: Seconds that tasks are given which still run when the program is done.
PATIENCE = 60.0
#: The same when the program ended by an exception: nobody will ask for their results.
_IMPATIENCE = 0.0

_pools: weakref.WeakKeyDictionary[Engine, float | None] = weakref.WeakKeyDictionary()
_registered = False


def register(engine: Engine, patience: float | None) -> None:
    """Have it ended in order, and in bounded time, at the exit; `patience` in seconds (None: without end)."""
    global _registered
    if not _registered:
        private: Any = threading
        private._register_atexit(_at_exit)  # before daemon threads are left, as concurrent.futures does
        _registered = True
    _pools[engine] = patience


def _at_exit() -> None:
    failed = getattr(sys, "last_type", None) is not None
    began = time.monotonic()  # (several pools are waited for at once, not one after another)
    for engine, patience in list(_pools.items()):
        engine.close(cancel=failed)
        try:
            limit = _IMPATIENCE if failed else patience
            joined = engine.join(None if limit is None else max(began + limit - time.monotonic(), 0))
        except BaseException:  # Ctrl-C: now nobody waits for any of them
            for each in list(_pools):
                _end(each, quiet=True)
            raise
        if not joined:
            _end(engine, quiet=failed)


def _end(engine: Engine, quiet: bool) -> None:
    busy = [member for member in list(engine.crew.members.values()) if member.in_hand()]
    if busy and not quiet:
        who = ", ".join(f"{member.process.name} (pid {member.pid})" for member in busy)
        sys.stderr.write(f"procession: the program is done, its pool is not: ended {len(busy)} running tasks, of {who}\n")
    engine.end("kill", None)
    engine.join(5.0)
