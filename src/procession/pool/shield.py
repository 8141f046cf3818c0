"""A short while in which Ctrl-C waits.

Python runs a signal's handler in the main thread, between any two steps of whatever it does there; KeyboardInterrupt in the
middle of handing on outcomes would lose them. The wait for them stays interruptible.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from procession.core import forkhooks

__all__ = ["shielded"]


_main = threading.main_thread().ident


class _Open:
    """No shield: no other thread than the main one needs it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class _Shield:
    def __enter__(self) -> None:
        self._came: list[Any] = []
        self._handler = signal.getsignal(signal.SIGINT)
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self._came.append(frame)

    def __exit__(self, *error: object) -> None:
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._handler)
            if self._came:
                self._handler(signal.SIGINT, self._came[0])


_open = _Open()


def shielded() -> _Open | _Shield:
    """A context: in the main thread SIGINT's handler, if it is one of Python's, runs when the block is left."""
    return _Shield() if threading.get_ident() == _main else _open


@forkhooks.after_in_child
def _be_main() -> None:
    global _main
    _main = threading.get_ident()
