"""The child's side of a scope. It imports little, for each child does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from procession.core.coroutines import finished
from procession.share import queues  # noqa: F401  (so that the zygote has it: each child is handed one)

__all__ = ["ERROR", "UNSENT", "VALUE", "run"]

#: What it says: what its function returned; that it raised; that what it returned cannot be pickled. (As `pool.messages.Kind`.)
VALUE, ERROR, UNSENT = 1, 2, 3


def run(queue: Any, number: int, function: Callable[..., Any], kwargs: dict[str, Any], *args: Any) -> None:
    """Call the function and say how it ended. The target of its process. (The arguments are this one's own, so that they travel
    as those of any target: core/plain.py.)"""
    try:
        kind, value = VALUE, finished(function(*args, **kwargs))
    except SystemExit:
        raise  # its exit code says it
    except BaseException as error:
        kind, value = ERROR, _written(error)
    try:
        queue._put_task(number, kind, value)
    except BaseException as error:  # (whatever its pickling raises)
        kind = UNSENT
        queue._put_task(number, kind, _written(error))
    if kind != VALUE:
        sys.exit(1)


def _written(error: BaseException) -> tuple[bytes | None, str, str]:
    from procession.core.remote import written

    return written(error)
