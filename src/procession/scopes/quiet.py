"""A short while in which no signal's handler runs: what must not be half done is done in it. (`pool/shield.py` is the same for
Ctrl-C alone, and quicker.)"""

from __future__ import annotations

import signal
import threading
from _signal import getsignal  # type: ignore[import-not-found]  # (the other one makes an object of each number)
from typing import Any

__all__ = ["Quiet"]

_ALL = sorted(map(int, signal.valid_signals()))


class Quiet:
    """A context: in the main thread, handlers in Python run when the block is left, in the order in which their signals came.
    In others there is nothing to do: handlers run in the main thread."""

    def __enter__(self) -> None:
        self._came: list[tuple[int, Any]] = []
        self._handlers: dict[int, Any] = {}
        self._replaced: list[int] = []
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            for number in _ALL:
                handler = getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    self._replaced.append(number)
                    signal.signal(number, self._note)
        except BaseException:  # (one that was not replaced yet)
            self._restore()
            raise

    def _note(self, number: int, frame: Any) -> None:
        self._came.append((number, frame))

    def __exit__(self, *error: object) -> None:
        try:
            self._restore()
        finally:
            self._run()

    def _restore(self) -> None:
        """All of them, though one that is back already may raise."""
        try:
            while self._replaced:
                number = self._replaced[-1]
                signal.signal(number, self._handlers[number])
                self._replaced.pop()
        except BaseException:
            self._restore()
            raise

    def _run(self) -> None:
        """If one raises, the others run nonetheless."""
        try:
            while self._came:
                number, frame = self._came.pop(0)
                self._handlers[number](number, frame)
        except BaseException:
            self._run()
            raise
