"""Tasks whose wait for a condition has ended without the lock, so that the blocks around it must not give the lock back.

Who has the lock at a block's end does not tell that: a plain Lock knows its thread and not its task, and another task of the
thread may have taken it since.
"""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.sync import tasks

__all__ = ["forget", "note", "take"]

#: The lock, and the task's token: how many times it had it.
_lost: dict[tuple[tuple[int, int, int], int], int] = {}


def note(lock: Any, token: int, depth: int) -> None:
    """The task has lost it."""
    _lost[_native.cell_handle(lock), token] = depth


def forget(lock: Any) -> None:
    """The running task begins anew with it."""
    if _lost:
        _lost.pop((_native.cell_handle(lock), tasks.token()), None)


def take(lock: Any, token: int | None = None) -> bool:
    """A block of the task's (None: the running one) ends: whether it has lost the lock. True as often as it had it."""
    if not _lost:
        return False
    key = _native.cell_handle(lock), tasks.token() if token is None else token
    left = _lost.pop(key, 0)
    if left > 1:
        _lost[key] = left - 1
    return left > 0
