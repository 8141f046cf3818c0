"""How a child's result travels home: as one message in a queue of its scope, put by the child when its function has ended.

The message is read when the process is gone, so what it says and how the process ended are known together. Nobody waits for
it: a message that was put is there, and a child that died before has said nothing.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from queue import Empty
from typing import Any, NamedTuple

from procession import _native
from procession.core.coroutines import finished
from procession.pool.messages import Kind
from procession.share.queues import SimpleQueue

__all__ = ["Outcomes", "Said", "run"]


class Said(NamedTuple):
    """What a child said: `kind` is VALUE, ERROR or UNSENT, `payload` as in the outcome of a task, and not unpickled."""

    kind: int
    payload: Any


class Outcomes:
    """Of one scope. Guarded by its scope's lock but for `queue`."""

    def __init__(self) -> None:
        self.queue: Any = SimpleQueue()
        self.queue._configure(0, _native.TASKS)
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


def run(queue: Any, number: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """In the child: call the function and say how it ended. The target of its process."""
    try:
        kind, value = Kind.VALUE, finished(function(*args, **kwargs))
    except SystemExit:
        raise  # its exit code says it
    except BaseException as error:
        kind, value = Kind.ERROR, _written(error)
    try:
        queue._put_task(number, kind, value)
    except BaseException as error:  # (whatever its pickling raises)
        kind = Kind.UNSENT
        queue._put_task(number, kind, _written(error))
    if kind != Kind.VALUE:
        sys.exit(1)


def _written(error: BaseException) -> tuple[bytes | None, str, str]:
    from procession.pool.worker import _written

    return _written(error)
