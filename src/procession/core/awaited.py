"""What ends once, and tells so in the way of `concurrent.futures`, awaited in an event loop.

Such a thing has ``done()``, and a list ``_waiters``, guarded by ``_condition``: each of them is told by `add_result`,
`add_exception` or `add_cancelled` when it ends. No callback's thread is between it and the loop.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from procession.core import loops

__all__ = ["done"]


class _Waiter:
    """One task that waits."""

    __slots__ = ("_loop", "_note")

    def __init__(self, loop: loops.Loop, note: loops.Note) -> None:
        self._loop = loop
        self._note = note

    def add_result(self, thing: Any) -> None:
        """It has ended. In any thread."""
        self._loop.from_thread(self._note.set)

    add_exception = add_cancelled = add_result


async def done(thing: Any, deadline: float | None = None) -> bool:
    """Wait until it has ended; False: `deadline` (of the running loop's clock) came before. In trio a checkpoint. Cancelled, it
    leaves the thing as it was."""
    loop = loops.current()
    await loop.checkpoint()
    note = loop.note()
    waiter = _Waiter(loop, note)
    with thing._condition:
        if thing.done():
            return True
        thing._waiters.append(waiter)
    try:
        await note.wait(deadline)
        return bool(thing.done())
    finally:
        with thing._condition, suppress(ValueError):
            thing._waiters.remove(waiter)
