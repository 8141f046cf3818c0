"""Who reads `results`: whoever waits for something of the pool, in its own thread; else a thread that sleeps while somebody
does, or while nothing comes. One leads at a time; the others wait until what they wait for has been handed on.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core.seconds import timeout_of
from procession.pool.messages import Kind
from procession.pool.shield import shielded

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Collector"]

#: So many outcomes are handled at a time.
BATCH = 256


class Collector:
    """Hands on what comes, in the order in which it comes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._results = engine.results
        self._lead = _native.Lead()
        self._inbox: list[tuple[int, int, Any]] = []  # of who leads
        self.runs = False  # the thread

    # --- by who waits ---

    def help(self, ready: Callable[[], bool], timeout: float | None, park: Callable[[float | None], object]) -> bool:
        """Wait in place until `ready()`; False after `timeout` seconds. Collects outcomes meanwhile; if another thread does,
        `park(seconds)` has to sleep until something has ended."""
        timeout = timeout_of(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            with self._lead as mine:
                if mine:
                    try:
                        self._results._attend(True)
                        self._collect_until(ready, deadline)
                    finally:
                        if self._inbox:
                            self._handle()
                        self._results._attend(False)  # (what comes from now on is the thread's)
            if not mine:
                park(left)
        return True

    def _collect_until(self, ready: Callable[[], bool], deadline: float | None) -> None:
        get, inbox = self._results._get_tasks, self._inbox
        while not ready():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            try:
                get(BATCH, left, inbox)
            except Empty:
                return
            self._handle()

    def nudge(self) -> None:
        """Something that a thread waits for was done by another than who leads."""
        if self._lead.held:
            self._results._put_task(0, Kind.NUDGE, None)

    # --- by the thread ---

    def begin(self, engine: Engine) -> None:
        """Have the thread run. (The module `threading` would have us wait until it does: a third of a start's time.)"""
        if not self.runs:
            try:
                _thread.start_new_thread(self._serve, (engine,))
            except RuntimeError:  # none is to be had now: it is tried with the next task, and meanwhile who waits collects
                return
            self.runs = True

    def _serve(self, engine: Engine) -> None:
        stopper = engine.stopper
        while not engine.over.is_set():
            try:
                if self._results._watch_tasks(stopper.left()):
                    self._collect()
                stopper.tick()
            except Exception:
                if engine.over.is_set():
                    break
                threading.excepthook(threading.ExceptHookArgs((*_error(), threading.current_thread())))
                time.sleep(0.01)
        engine.crew.reap()  # (nobody may be there to join it)

    def _collect(self) -> None:
        """What is there, if nobody else is at it."""
        while True:
            with self._lead as mine:
                if not mine:
                    time.sleep(0.0001)  # (somebody is about to leave it to us, or sees to it)
                    return
                try:
                    self._results._get_tasks(BATCH, 0, self._inbox)
                except Empty:
                    return
                finally:
                    if self._inbox:
                        self._handle()

    # --- by who leads ---

    def _handle(self) -> None:
        """What stands in the inbox. If a signal's handler raises in the middle, all of it is still there, and is handled once
        more: to do so harms neither what was handled nor what was being handled."""
        engine, inbox = self._engine, self._inbox
        held, settle = engine.held, engine.stopper.settle
        with engine.lock:
            for number, aux, payload in inbox:
                kind = aux & 0xFF
                if kind == Kind.TAKEN:
                    engine.crew.taken(number, aux >> 8 & 0xFFFF, payload)
                    continue
                if kind == Kind.REQUEST:
                    with shielded():
                        engine.crew.requested(number, aux >> 8 & 0xFFFF, payload)
                    continue
                if kind > Kind.STOPPED:
                    with shielded():  # (a worker is buried once)
                        engine.crew.heard(kind, number, payload)
                    continue
                task = held.get(number)
                if task is None:  # a second outcome: it was stopped in the moment in which it ended, or we were interrupted
                    engine.lanes.forget(number)
                    continue
                if task.extra is None or not settle(task, kind):
                    task.end(kind, payload, (aux >> 24) / 1e6)
                held.pop(number, None)
                if task.lane is not None:
                    task.lane.ended(number)
            engine.have_ended(len(inbox))
            inbox.clear()


def _error() -> Any:
    return sys.exc_info()
