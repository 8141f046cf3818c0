"""A short while in which Ctrl-C waits.

Python runs a signal's handler in the main thread, between any two steps of whatever it does there; KeyboardInterrupt in the
middle of handing on outcomes would lose them. The wait for them stays interruptible.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["shielded"]


@contextmanager
def shielded() -> Iterator[None]:
    """In the main thread: SIGINT's handler, if it is one of Python's, runs when the block is left."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(signal.SIGINT, came[0])
