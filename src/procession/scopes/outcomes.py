"""How a child's result travels home: as one message in a queue of its scope, put by the child (child.py) when its function has
ended.

The message is read when the process is gone, so what it says and how the process ended are known together. Nobody waits for
it: a message that was put is there, and a child that died before has said nothing.
"""

from __future__ import annotations

import contextlib
from queue import Empty
from typing import Any, NamedTuple

from procession.pool.rings import ring

__all__ = ["Outcomes", "Said"]


class Said(NamedTuple):
    """What a child said: `kind` is VALUE, ERROR or UNSENT, `payload` as in the outcome of a task, and not unpickled."""

    kind: int
    payload: Any


class Outcomes:
    """Of one scope. Guarded by its scope's lock but for `queue`."""

    def __init__(self) -> None:
        self.queue = ring()
        self._heard: dict[int, Said] = {}

    def take(self, number: int) -> Said | None:
        """What the child with that number, which has ended, has said; None: nothing. Does not block."""
        came: list[tuple[int, int, Any]] = []
        with contextlib.suppress(Empty):
            while True:
                self.queue._get_tasks(256, 0, came)
        for who, kind, payload in came:
            self._heard[who] = Said(kind, payload)
        return self._heard.pop(number, None)
