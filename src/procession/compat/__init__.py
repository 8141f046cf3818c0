"""Stand in for `multiprocessing`: ``install()`` makes unmodified programs run on procession.

The package `multiprocessing` stays what it is; its public functions, its contexts and its default become ours, so that
``from multiprocessing import Process`` anywhere afterwards is ours. `uninstall()` undoes it.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import context as mp_context
from typing import Any

from procession.process import context

__all__ = ["install", "installed", "uninstall"]

_saved: dict[str, Any] = {}
_saved_context: dict[str, Any] = {}


class _StandIn(context.DefaultContext):
    """Our default context under the standard library's list of start methods; its "forkserver" is our zygote."""

    def __init__(self) -> None:
        super().__init__()
        self._default_context = context.CONTEXTS["forkserver"]

    def get_all_start_methods(self) -> list[str]:
        return ["fork", "spawn", "forkserver"]


def installed() -> bool:
    """Whether `multiprocessing` is ours in this process."""
    return bool(_saved)


def install() -> None:
    """Make `multiprocessing` ours in this process and in all that it starts. May be called again."""
    if _saved:
        return
    stand_in = _StandIn()
    for name in dir(multiprocessing):
        ours = getattr(stand_in, name, None)
        if not name.startswith("_") and ours is not None and name not in ("context", "process", "reducer"):
            _saved[name] = getattr(multiprocessing, name)
            setattr(multiprocessing, name, ours)
    for name, value in (("_default_context", stand_in), ("_concrete_contexts", context.CONTEXTS)):
        _saved_context[name] = getattr(mp_context, name)
        setattr(mp_context, name, value)


def uninstall() -> None:
    """Give `multiprocessing` back what was its own."""
    for name, value in _saved.items():
        setattr(multiprocessing, name, value)
    for name, value in _saved_context.items():
        setattr(mp_context, name, value)
    _saved.clear()
    _saved_context.clear()
