"""The threads that run code of users for pools: callbacks of futures, and the like.

As a rule one thread runs all of it, in order. If one call takes long while others wait, a second thread, the *relief*, goes on
with those, so that a callback that hangs holds up no other. The threads are there while there is something to do, and a second
longer.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from procession.core import forkhooks

__all__ = ["call", "call_back", "drain"]

PATIENCE = 0.1  #: for so long others wait for one that runs, in seconds
IDLENESS = 1.0  #: so long a thread waits for more, in seconds
MOST_STUCK = 32  #: so many calls may have been left behind at a time; then all others wait

Call = tuple[Callable[..., object], tuple[Any, ...]]


class _Seat:
    """Where one thread waits. Whoever takes it from its place (among the idle, or the relief's) and wakes it has called it."""

    __slots__ = ("bell", "leave", "thread")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.leave = False  # it is to end
        self.thread = threading.current_thread()

    def wait(self, timeout: float) -> None:
        self.bell.acquire(timeout=max(0.0, timeout))


class _Callers:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # for what is below; never held while anything of a user's runs
        self._queue: deque[Call] = deque()
        self._asked = 0  # calls so far
        self._running: dict[int, int] = {}  # thread -> the number of its call
        self._turn = 0  # the number of the call that the others wait for; 0: none, or it was left behind
        self._since = 0.0  # its start
        self._stuck = 0  # how many were left behind and have not ended
        self._idle: list[_Seat] = []
        self._relief: _Seat | None = None
        self._coming = False  # a thread was started or woken, and has not yet looked around
        self._drains: list[tuple[int, int, threading.Lock]] = []  # (number, thread, bell)

    def call(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        with self._lock:
            self._queue.append((function, args))
            self._asked += 1
            start = self._summon()
        if start:
            self._start()

    def _summon(self) -> bool:
        """See to it that somebody runs what is queued, and a relief waits if that may take long. Whether to start a thread."""
        if self._coming or not self._queue or (self._turn and (self._relief is not None or self._stuck >= MOST_STUCK)):
            return False
        self._coming = True
        if self._idle:
            self._idle.pop().bell.release()
            return False
        return True

    def _start(self) -> None:
        try:
            threading.Thread(target=self._serve, name="procession-callers", daemon=True).start()
        except RuntimeError:  # no thread can be made, as at the end of the program: better here than never
            with self._lock:
                self._coming = False
                if not self._turn:
                    self._work()
        except BaseException:  # Ctrl-C, say: the next call starts one
            self._coming = False
            raise

    # --- in our threads ---

    def _serve(self) -> None:
        seat = _Seat()
        with self._lock:
            self._coming = False
            while True:
                self._work()
                if self._queue and self._relief is None and self._stuck < MOST_STUCK:
                    self._relieve(seat)
                elif not self._idle_until_called(seat):
                    return
                if seat.leave:
                    return

    def _work(self) -> None:
        """Run what there is, as long as it is our turn. (The lock is held, but for the calls themselves.)"""
        while self._queue and (not self._turn or self._may_leave_behind()):
            if self._turn:
                self._stuck += 1
            self._take_turn()

    def _relieve(self, seat: _Seat) -> None:
        """Wait until the call that runs has taken too long."""
        self._relief = seat
        self._rest(seat, self._since + PATIENCE - time.monotonic())
        if self._relief is seat:
            self._relief = None

    def _idle_until_called(self, seat: _Seat) -> bool:
        self._idle.append(seat)
        self._rest(seat, IDLENESS)
        if seat in self._idle:  # nobody has called us
            self._idle.remove(seat)
            return False
        if not seat.leave:
            self._coming = False
        return True

    def _may_leave_behind(self) -> bool:
        return self._stuck < MOST_STUCK and time.monotonic() - self._since >= PATIENCE

    def _take_turn(self) -> None:
        """Run the next call. (The lock is held before and after.)"""
        function, args = self._queue.popleft()
        number = self._turn = self._asked - len(self._queue)
        self._since = time.monotonic()
        me = threading.get_ident()
        self._running[me] = number
        start = self._summon()
        lock = self._lock
        lock.release()
        try:
            if start:
                self._start()
            _run(function, args)
            del function, args  # what ends with them may call us
        finally:
            if lock is not self._lock:
                self._lock.acquire()  # (it forked, and we are the child)
            else:
                lock.acquire()
                del self._running[me]
                if self._turn == number:
                    self._turn = 0
                else:
                    self._stuck -= 1
                self._tell_drains()

    def _rest(self, seat: _Seat, timeout: float) -> None:
        self._lock.release()
        try:
            seat.wait(timeout)
        finally:
            self._lock.acquire()

    # --- waiting for all ---

    def drain(self, timeout: float | None) -> bool:
        bell = threading.Lock()
        bell.acquire()
        with self._lock:
            entry = (self._asked, threading.get_ident(), bell)
            if self._is_drained(entry):
                return True
            self._drains.append(entry)
        if bell.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)):
            return True
        with self._lock:
            if entry in self._drains:
                self._drains.remove(entry)
                return False
        return True

    def _is_drained(self, entry: tuple[int, int, threading.Lock]) -> bool:
        last, thread, _ = entry
        if self._queue and self._asked - len(self._queue) < last:
            return False
        return all(number > last or who == thread for who, number in self._running.items())

    def _tell_drains(self) -> None:
        for entry in [entry for entry in self._drains if self._is_drained(entry)]:
            self._drains.remove(entry)
            entry[2].release()

    # --- forks ---

    def pause(self) -> None:
        """Before a fork: those that only wait for more end, so that a program with one thread forks as one."""
        with self._lock:
            seats, self._idle = self._idle, []
            if self._relief is not None and not self._queue:
                seats.append(self._relief)
                self._relief = None
            for seat in seats:
                seat.leave = True
                seat.bell.release()
        for seat in seats:
            seat.thread.join()
            while os.path.exists(f"/proc/self/task/{seat.thread.native_id}"):
                os.sched_yield()

    def forget(self) -> None:
        """In a forked child: what the parent was asked for is the parent's."""
        self.__init__()  # type: ignore[misc]


def _run(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except BaseException:
        try:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        except BaseException:
            _report()


def _report() -> None:
    try:
        sys.stderr.write("exception in threading.excepthook:\n" + traceback.format_exc())
    except Exception:
        pass  # (there is no standard error to print on)


_callers = _Callers()
forkhooks.around(_callers.pause, lambda: None, lambda: None)
forkhooks.after_in_child(_callers.forget)


def call(function: Callable[..., object], *args: Any) -> None:
    """Run ``function(*args)`` in a daemon thread of ours, after all that was asked for before. Returns at once.

    Each begins when the one before it has ended or has taken 0.1 s, so those that take long run beside others. What it raises
    goes to `threading.excepthook` and harms nothing. If no thread can be made, it runs here. In the child of a fork nothing is
    asked for.
    """
    _callers.call(function, args)


def call_back(functions: list[Callable[[Any], object]], future: Any) -> None:
    """Call each with that future, in order, as `call` does; what one raises is logged, as `concurrent.futures` does it."""
    for function in functions:
        call(_call_back, function, future)


def _call_back(function: Callable[[Any], object], future: Any) -> None:
    try:
        function(future)
    except Exception:
        from concurrent.futures import _base

        _base.LOGGER.exception("exception calling callback for %r", future)


def drain(timeout: float | None = None) -> bool:
    """Wait until all that was asked for so far has run; False if it has not within `timeout` seconds (None: for ever).

    In one of our own threads the call that it is in is not waited for.
    """
    return _callers.drain(timeout)
