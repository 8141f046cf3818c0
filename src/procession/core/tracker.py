"""The standard library's resource tracker: a process that removes the named semaphores and shared memory that a program leaves.

A child uses its parent's. With one of its own, what it has opened would be removed under its parent as soon as it ended.
"""

from __future__ import annotations

import sys
from multiprocessing.context import get_spawning_popen  # type: ignore[attr-defined]
from typing import Any

from procession.core import fds

__all__ = ["Tracker"]


class Tracker:
    """Stands for the tracker in the pickle of a process, ahead of what may need it. A parent that has none sends none."""

    def __reduce__(self) -> tuple[Any, ...]:
        module = sys.modules.get("multiprocessing.resource_tracker")
        fd = None if module is None else module._resource_tracker._fd
        popen = get_spawning_popen()
        return _use, (None if fd is None or popen is None else popen.duplicate_for_child(fd),)


def _use(index: int | None) -> None:
    if index is None:
        return
    from multiprocessing import resource_tracker

    ours: Any = resource_tracker._resource_tracker
    ours._fd, ours._pid = fds.received[index], None  # (what the zygote preloads may have started one there)
