"""The standard library's resource tracker: a process that removes the named semaphores and shared memory that are left.

A child uses its parent's. With one of its own, what it has opened would be removed under its parent when it ends.
"""

from __future__ import annotations

import sys
from typing import Any

from procession.core import fds
from procession.core.stdlib import mp_context

__all__ = ["Tracker"]


class Tracker:
    """Stands for the tracker in the pickle of a process, ahead of what may need it. A parent that has none sends none."""

    def __reduce__(self) -> tuple[Any, ...]:
        module = sys.modules.get("multiprocessing.resource_tracker")
        fd = None if module is None else module._resource_tracker._fd
        popen = mp_context.get_spawning_popen()
        known = fd is not None and popen is not None
        return _use, (popen.duplicate_for_child(fd) if known else None,)


def _use(index: int | None) -> None:
    if index is None:
        return
    from multiprocessing import resource_tracker

    ours: Any = resource_tracker._resource_tracker
    ours._fd, ours._pid = fds.received[index], None  # (what the zygote preloads may have started one there)
