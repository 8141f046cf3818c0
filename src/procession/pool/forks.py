"""Pools in a forked child: the parent's, which nobody may use there."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from procession.core import forkhooks

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["engines"]

engines: weakref.WeakSet[Engine] = weakref.WeakSet()  #: all that there are in this process


def _help_nobody(ready: Callable[[], bool], timeout: float | None, park: Callable[[float | None], object]) -> bool:
    """`Engine.help` in a forked child: what comes is the parent's."""
    if ready():
        return True
    raise RuntimeError(f"this pool belongs to another process, which made it; this is {os.getpid()}: make one here")


def _nudge_nobody() -> None:
    """`Engine.nudge` in a forked child."""


@forkhooks.after_in_child
def _forget() -> None:
    for engine in engines:  # the parent's: nobody collects here
        engine.lock = engine.functions._lock = threading.RLock()  # (another thread may have had the old one)
        for stream in engine.streams:
            stream._lock, stream._came = engine.lock, threading.Condition(engine.lock)
        engine.closing = True
        engine.over.set()
        engine.crew.members = {}
        engine.help, engine.nudge = _help_nobody, _nudge_nobody
    engines.clear()
