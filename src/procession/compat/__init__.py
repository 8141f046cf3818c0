"""Stand in for `multiprocessing`: ``install()`` makes unmodified programs run on procession.

The package `multiprocessing` stays what it is. Its class Process is derived from ours, and its default context, its contexts
by start method and the classes of `multiprocessing.synchronize` and `multiprocessing.connection` become ours. So every process,
lock and connection is ours that a program makes, or that the standard library's own Manager makes, whenever they were imported.
So are Pool and ProcessPoolExecutor; a class that was imported, or derived from, before stays the standard library's, on our
processes. `uninstall` undoes it.

What differs from the standard library is in docs/differences.md.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import sys
from collections.abc import Callable
from multiprocessing import context as mp_context
from typing import Any

from procession.compat import memory, modules, pools
from procession.compat.forkserver import ForkServer
from procession.compat.stand_in import StandIn
from procession.process import context
from procession.process.makers import MAKES
from procession.process.process import Process

__all__ = ["install", "installed", "uninstall"]

#: What was replaced, in order: the module or object, the attribute, its former value (_ABSENT: it had none).
_saved: list[tuple[Any, str, Any]] = []
_ABSENT = object()
_absent_modules: list[str] = []
_undo: list[Callable[[], None]] = []

#: Names of `multiprocessing` whose meaning differs between their context and ours.
_FUNCTIONS = ("cpu_count", "set_forkserver_preload", *MAKES)
_METHODS = {"Fork": "fork", "Spawn": "spawn", "ForkServer": "forkserver"}


def installed() -> bool:
    """Whether `multiprocessing` is ours in this process."""
    return bool(_saved)


def install() -> None:
    """Make `multiprocessing` ours in this process and in all that it starts. May be called again.

    What was imported before is ours too, except for the contexts that `get_context` gave out. A start method that was
    set before stays set.
    """
    if _saved:
        return
    default: Any = mp_context._default_context
    chosen = default.get_start_method(allow_none=True)
    _replace(mp_context, "_concrete_contexts", {**context.CONTEXTS})
    for name, method in _METHODS.items():
        _replace(mp_context, f"{name}Context", type(context.CONTEXTS[method]))
        _replace(mp_context, f"{name}Process", context.CONTEXTS[method].Process)
    # The class stays, since programs have derived from it; but it is derived from ours now.
    for name in ("_Popen", "_after_fork"):
        _replace(mp_context.Process, name, staticmethod(getattr(Process, name)))
    _replace(mp_context.Process, "__bases__", (Process,))
    # The object stays, since its methods have been handed out: as multiprocessing.Pool, as pool.get_context, ...
    _replace(default, "__class__", StandIn)
    _replace(default, "_default_context", context.CONTEXTS["forkserver"])
    for name in _FUNCTIONS:
        _replace(multiprocessing, name, getattr(default, name))
    _replace_forkserver()
    _replace_synchronize()
    _undo.append(modules.replace(_replace))
    _undo.append(pools.install(_replace))
    memory.install(_replace)
    if chosen is not None and default.get_start_method(allow_none=True) is None:
        default.set_start_method(chosen)


def _replace_forkserver() -> None:
    server = ForkServer()
    _replace(multiprocessing.forkserver, "_forkserver", server)
    for name in ("ensure_running", "set_forkserver_preload"):
        _replace(multiprocessing.forkserver, name, getattr(server, name))


def _replace_synchronize() -> None:
    """The module of that name: patched if it was imported, else kept from being imported, which takes 10 ms."""
    from procession.compat import synchronize

    name = "multiprocessing.synchronize"
    theirs = sys.modules.get(name)
    if theirs is None:
        _absent_modules.append(name)
        sys.modules[name] = synchronize
        _replace(multiprocessing, "synchronize", synchronize)
    else:
        for thing in synchronize.NAMES:
            _replace(theirs, thing, getattr(synchronize, thing))


def _replace(owner: Any, name: str, value: Any) -> None:
    before = vars(owner).get(name, getattr(owner, name, _ABSENT))  # the descriptor, where it is one
    _saved.append((owner, name, before))
    setattr(owner, name, value)


def uninstall() -> None:
    """Give `multiprocessing` back what was its own. Processes that were started stay what they are."""
    while _undo:
        _undo.pop()()
    memory.uninstall()
    while _absent_modules:
        sys.modules.pop(_absent_modules.pop(), None)
    while _saved:
        owner, name, value = _saved.pop()
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
