"""Callbacks on the end of processes: one thread watches for all of them, and exists only while one is pending.

It sleeps in poll() on the pidfds. Around a fork it ends and comes back, like the reaper.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from procession.core import callers, forkhooks

__all__ = ["add"]

Callback = Callable[[Any], object]


class _Caller:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[int, tuple[Any, list[Callback]]] = {}
        self._thread: threading.Thread | None = None
        self._bell: tuple[int, int] | None = None
        self._stop = False
        self._pauses = 0

    def add(self, process: Any, function: Callback) -> None:
        fd = process.sentinel
        with self._lock:
            functions = self._pending.setdefault(fd, (process, []))[1]
            functions.append(function)
            try:
                self._ensure_thread()
            except RuntimeError:
                functions.remove(function)
                raise
            self._ring()

    def _ensure_thread(self) -> None:
        if self._bell is None:
            self._bell = os.pipe()
        if self._thread is None and not self._pauses:
            self._stop = False
            thread = threading.Thread(target=self._serve, name="procession-callbacks", daemon=True)
            thread.start()  # (it may be refused)
            self._thread = thread

    def _ring(self) -> None:
        if self._bell is not None:
            os.write(self._bell[1], b"!")

    def _serve(self) -> None:
        while True:
            with self._lock:
                if self._stop or not self._pending or self._bell is None:
                    self._thread = None
                    self._close_bell()
                    return
                bell = self._bell[0]
                fds = [bell, *self._pending]
            for fd in _readable(fds):
                if fd == bell:
                    os.read(bell, 4096)
                else:
                    self._call(fd)

    def _call(self, fd: int) -> None:
        with self._lock:
            process, functions = self._pending.pop(fd)
        if (popen := process._popen) is not None:
            popen.wait()  # it has ended; the reaper may be about to note how
        for function in functions:
            if isinstance(function, _Quick):
                function(process)
            else:  # (a user's, which may take its time, or hang)
                callers.call(_call_back, function, process)

    # --- forks ---

    def pause(self) -> None:
        with self._lock:
            self._pauses += 1
            thread = self._thread
            if thread is None or thread is threading.current_thread():
                return
            self._stop = True
            self._ring()
        thread.join()
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):
            os.sched_yield()

    def resume(self) -> None:
        with self._lock:
            self._pauses = max(0, self._pauses - 1)  # (0: we were imported between a pause and its resume)

    def restart(self) -> None:
        with self._lock:
            if self._pending:
                self._ensure_thread()

    def _close_bell(self) -> None:
        if self._bell is not None:
            os.close(self._bell[0])
            os.close(self._bell[1])
        self._bell = None

    def forget(self) -> None:
        self._close_bell()
        self.__init__()  # type: ignore[misc]


def _readable(fds: list[int]) -> list[int]:
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return [fd for fd, _ in poller.poll()]


_caller = _Caller()
forkhooks.around(_caller.pause, _caller.resume, _caller.restart)
forkhooks.after_in_child(_caller.forget)


class _Quick:
    """One of ours."""

    def __init__(self, call: Callback) -> None:
        self._call = call

    def __call__(self, process: Any) -> object:
        return self._call(process)


def _call_back(function: Callback, process: Any) -> None:
    try:
        function(process)
    except Exception:
        sys.stderr.write(f"exception in a done callback of {process.name!r}:\n")
        traceback.print_exc()


def add(process: Any, function: Callback, *, quick: bool = False) -> None:
    """Call ``function(process)`` once `process` has ended, in a thread of ours: that of users' callbacks, or `quick`, in the
    one that watches, which must not be kept. Raises RuntimeError when no thread can be had; it is not called then."""
    _caller.add(process, _Quick(function) if quick else function)
