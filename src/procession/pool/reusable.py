"""One pool for the whole program, made when it is needed and used again by everybody."""

from __future__ import annotations

import os
import threading
from typing import Any

from procession.pool.executor import ProcessPoolExecutor

__all__ = ["get_reusable_executor"]

#: Seconds without a task after which its workers leave.
IDLE = 10.0

_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None
_made_by = 0
_how: dict[str, Any] = {}


def get_reusable_executor(
    max_workers: int | None = None, *, idle_timeout: float | None = IDLE, **options: Any
) -> ProcessPoolExecutor:
    """The program's shared ProcessPoolExecutor: the one that was returned before, if it is still open.

    Another `max_workers` resizes it; None takes it as it is (at first: as many as there are processors). Other arguments are
    those of `ProcessPoolExecutor`; if they are not those of the pool that there is, that one is closed when its tasks have
    ended, and another is made. Its workers leave after `idle_timeout` seconds without a task. Does not block. Threads may
    call it; a forked child gets its own.
    """
    global _pool, _made_by, _how
    how = {"idle_timeout": idle_timeout, **options}
    with _lock:
        pool = _pool if _made_by == os.getpid() else None
        usable = pool is not None and not pool._engine.closing and pool._engine.broken is None
        if pool is not None and usable and how == _how:
            if max_workers is not None and max_workers != pool._max_workers:
                pool.resize(max_workers)
            return pool
        _pool = ProcessPoolExecutor(max_workers, **how)
        _made_by, _how = os.getpid(), how
        if pool is not None and usable:
            pool.shutdown(wait=False)
        return _pool
