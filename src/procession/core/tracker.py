"""The standard library's resource tracker: a process that removes the named semaphores and shared memory that are left.

A child uses its parent's. With one of its own, what it has opened would be removed under its parent when it ends.
"""

from __future__ import annotations

import sys
from typing import Any

from procession.core import fds
from procession.core.stdlib import mp_context

__all__ = ["current", "runs"]


def runs() -> bool:
    """Whether this process has one."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return module is not None and module._resource_tracker._fd is not None


def current() -> Tracker | None:
    """What stands for the tracker in the pickle of a process, ahead of what may need it. A parent that has none sends none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return None if module is None else Tracker(module._resource_tracker._fd)


class Tracker:
    """The tracker's descriptor, or None when it does not run."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        popen = mp_context.get_spawning_popen()
        known = self._fd is not None and popen is not None
        return _use, (popen.duplicate_for_child(self._fd) if known else None,)


def _use(index: int | None) -> None:
    if index is None:
        return
    from multiprocessing import resource_tracker

    ours: Any = resource_tracker._resource_tracker
    ours._fd, ours._pid = fds.received[index], None  # (what the zygote preloads may have started one there)
