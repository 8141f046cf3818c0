"""The pool that dispatch queues share, and the queues that everybody may use."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from procession.core import forkhooks
from procession.pool import atexit, tokens
from procession.pool.contexts import context_of
from procession.pool.engine import Engine
from procession.pool.settings import Settings

if TYPE_CHECKING:
    from procession.dispatch.queue import DispatchQueue

__all__ = ["engine", "global_queue", "shutdown"]

#: Seconds without a block after which the workers leave.
IDLE = 5.0

_lock = threading.Lock()
_engine: Engine | None = None
_queues: dict[int, DispatchQueue] = {}


def engine() -> Engine:
    """Of the shared pool: made when it is needed first, and anew when it was shut down or broke. Starts nothing."""
    global _engine
    with _lock:
        if _engine is None or _engine.closing:
            _queues.clear()
            _engine = Engine(Settings(tokens.default_workers(), idle_timeout=IDLE, name="dispatch-worker"), context_of(None))
            atexit.register(_engine, atexit.PATIENCE)
        return _engine


def global_queue(priority: int = 0) -> DispatchQueue:
    """The concurrent queue of that priority that all of the program shares: as many blocks at a time as there are workers.

    Blocks of one with a higher priority go first. It can be neither suspended nor closed. Does not block; threads may call it.
    """
    from procession.dispatch.queue import DispatchQueue, check_priority

    check_priority(priority)
    shared = engine()
    queue = _queues.get(priority)
    if queue is None:
        made = DispatchQueue("global" if not priority else f"global, priority {priority}", True, priority=priority)
        made._share()
        with _lock:
            queue = _queues.setdefault(priority, made) if shared is _engine else made
    return queue


def shutdown(wait: bool = True, *, cancel: bool = False) -> None:
    """Close the shared pool: its queues take nothing more, what they have is done (with `cancel`: what has not begun is
    cancelled), the workers leave; `wait` for that. Queues that are made later get another pool. (At the interpreter's exit the
    same is done, with a time limit of a minute.)"""
    global _engine
    with _lock:
        closed, _engine = _engine, None
        _queues.clear()
    if closed is not None:
        closed.close(cancel=cancel)
        if wait:
            closed.join()


@forkhooks.after_in_child
def _forget() -> None:
    global _engine, _lock
    _engine, _lock = None, threading.Lock()
    _queues.clear()


