"""A call at a time, in the thread that watches the ends of processes (`process/callbacks.py`): no thread of its own, and it
comes whatever the others do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from procession import _native
from procession.process import callbacks

__all__ = ["Timer"]


class Timer:
    """Calls ``function()`` once, after `seconds`, unless it is cancelled. `function` must be quick. Raises OSError when there
    is no descriptor for it, RuntimeError when there is no thread. In a forked child it never calls."""

    def __init__(self, seconds: float, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function
        self._pid = os.getpid()
        self._lock = threading.Lock()  # for the descriptor, whose number is another's when it is closed
        self._fd = _native.timer_open(seconds)
        try:
            callbacks.add(self, Timer._due, quick=True)
        except BaseException:
            self._close()
            raise

    def fileno(self) -> int:
        return self._fd

    def cancel(self) -> None:
        """It is not called any more, if it was not yet. May be called again; does not block."""
        self._function = None
        if self._pid == os.getpid():
            with self._lock:
                if self._fd >= 0:
                    _native.timer_set(self._fd, 0)  # its descriptor goes where it is watched

    def _due(self) -> None:
        function, self._function = self._function, None
        self._close()
        if function is not None:
            function()

    def _close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)
