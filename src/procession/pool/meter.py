"""How far a stream is, told to its progress bar or function: these are users' code, and run where callbacks run."""

from __future__ import annotations

import threading
from typing import Any

from procession.core import callers

__all__ = ["Meter"]


class Meter:
    """Counts what is done, and tells of it when there is time: several steps at once, if need be."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._untold = 0
        self._telling = False

    def advance(self, count: int) -> None:
        """So many more are done. Does not block."""
        with self._lock:
            self._untold += count
            if self._telling or not self._untold:
                return
            self._telling = True
        callers.call(self._tell)

    def _tell(self) -> None:
        with self._lock:
            count, self._untold, self._telling = self._untold, 0, False
        self._progress.advance(count)

    def finish(self) -> None:
        """No more will come."""
        callers.call(self._progress.finish)
