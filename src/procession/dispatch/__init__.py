"""Dispatch queues: Grand Central Dispatch's vocabulary, with processes in place of threads.

    queue.py      DispatchQueue, as its own process has it: lines of blocks (pool/lanes.py has the lines)
    group.py      DispatchGroup: several blocks, waited for together
    home.py       the pool that queues share, and the global queues
    far.py        a queue as blocks have it that run in the pool's workers: what is asked of it goes to its own process
    link.py       by this way, and has a future,
    guests.py     and is heard here, done, and answered,
    waits.py      unless blocks would wait for each other in a circle
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"DispatchQueue": "queue", "DispatchGroup": "group", "global_queue": "home", "shutdown": "home"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"procession.dispatch.{_HOMES[name]}"), name)
    return value
