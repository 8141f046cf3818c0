"""Callbacks on the end of processes, and on whatever else `procession.wait` takes: one thread watches for all of them, and
exists only while one is pending.

It sleeps in one epoll (`watch`), and only looks: what is done it hands to the threads that run users' code (`core/callers.py`).
Around a fork it ends and comes back, like the reaper.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from procession.core import callers, forkhooks
from procession.process.process import Process
from procession.process.watch import Entry, Watch

__all__ = ["Pending", "add", "closing", "drop"]

Callback = Callable[[Any], object]

#: Seconds that the lock is waited for by who may have it.
PATIENCE = 0.05


class Pending:
    """One callback that was not called yet."""

    __slots__ = ("entry", "function", "quick", "thing")

    def __init__(self, thing: Any, function: Callback, quick: bool) -> None:
        self.thing = thing
        self.function = function
        self.quick = quick
        self.entry: Entry | None = None

    def call(self) -> None:
        if self.quick:  # (if it raises, the thread goes on for the others)
            _call_back(self.function, self.thing)
        else:  # (a user's, which may take its time, or hang)
            callers.call(_call_back, self.function, self.thing)


class _Caller:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # for all below; never held while a callback runs, or while the thread sleeps
        self._watch: Watch | None = None
        self._pending: dict[int, list[Pending]] = {}  # by the id of what it is about, or that belongs to
        self._dropped: deque[Pending] = deque()  # to be forgotten
        self._thread: threading.Thread | None = None
        self._serving = threading.Lock()  # held by the thread
        self._bell = -1  # an eventfd that wakes the thread, to end it
        self._stop = False
        self._pauses = 0

    def add(self, pending: Pending) -> None:
        """Raises as `Watch.add`, and RuntimeError when no thread can be had; then it is not called."""
        with self._lock:
            if self._watch is None:
                self._open()
            assert self._watch is not None
            try:
                pending.entry = self._watch.add(pending.thing, pending)
                self._pending.setdefault(_key(pending.thing), []).append(pending)
                self._ensure_thread()
                self._ring()  # (it may be done already, which makes no descriptor readable)
            except BaseException:
                self._drop(pending)
                self._close_if_idle()
                raise

    def _open(self) -> None:
        watch = Watch()
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        watch.add(self._bell, _ring)
        self._watch = watch

    def _ensure_thread(self) -> None:
        if self._thread is None and not self._pauses:
            self._stop = False
            thread = threading.Thread(target=self._run, name="procession-callbacks", daemon=True)
            thread.start()  # (it may be refused)
            self._thread = thread

    def _ring(self) -> None:
        """(The lock is held: else it might be closed, and its number another's.)"""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def _drop(self, pending: Pending) -> bool:
        """Forget it, if it is pending. (The lock is held.)"""
        key = _key(pending.thing)
        known = self._pending.get(key, [])
        found = pending in known
        if found:
            known.remove(pending)
        if not known:
            self._pending.pop(key, None)
        if not found:
            return False
        entry, pending.entry = pending.entry, None  # (they know each other: no circle is left)
        if self._watch is not None and entry is not None:
            self._watch.remove(entry)
        return True

    def drop(self, pending: Pending) -> None:
        """(It may be that this very thread has the lock, and the garbage collector has come. Then it rings later on.)"""
        self._dropped.append(pending)
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._drop_all()
                self._ring()
            finally:
                self._lock.release()

    def _drop_all(self) -> None:
        while self._dropped:
            self._drop(self._dropped.popleft())

    def closing(self, thing: Any) -> None:
        """`thing` is about to be closed: what waits for it is called now."""
        if id(thing) not in self._pending:
            return
        with self._lock:
            found = self._pending.get(id(thing), [])[:]
            for pending in found:
                self._drop(pending)
            self._ring()
        for pending in found:
            pending.call()

    # --- in the thread ---

    def _run(self) -> None:
        with self._serving:
            self._serve()

    def _serve(self) -> None:
        while True:
            with self._lock:
                watch = self._watch
                if self._stop or not self._pending or watch is None:
                    self._thread = None
                    self._close_if_idle()
                    return
            events = watch.sleep(None)
            with self._lock:
                found = self._look(watch, events)
            while found:
                found.pop(0).call()

    def _look(self, watch: Watch, events: list[tuple[int, int]]) -> list[Pending]:
        """Those that are done. (The lock is held.)"""
        self._drop_all()
        watch.look(events)
        found = []
        for tag in watch.done():
            if tag is _ring:
                os.eventfd_read(self._bell)
                watch.add(self._bell, _ring)
            elif self._drop(tag):
                found.append(tag)
        return found

    def _close_if_idle(self) -> None:
        """(The lock is held.)"""
        if self._pending or self._thread is not None:
            return
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        self._close_bell()

    def _close_bell(self) -> None:
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)

    # --- forks ---

    def pause(self) -> None:
        with self._lock:
            self._pauses += 1
            thread = self._thread
            if thread is None or thread.ident == threading.get_ident():
                return
            self._stop = True
            self._ring()
        with self._serving:  # (not `join` nor `current_thread`: they would list whoever is no `threading.Thread` for ever)
            pass
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):
            os.sched_yield()

    def resume(self) -> None:
        with self._lock:
            self._pauses = max(0, self._pauses - 1)  # (0: we were imported between a pause and its resume)

    def restart(self) -> None:
        with self._lock:
            if self._pending:
                self._ensure_thread()

    def forget(self) -> None:
        """In a forked child: all of it is the parent's. (Nothing is unwatched: the waits are the parent's, too.)"""
        self._close_bell()
        self.__init__()  # type: ignore[misc]


def _key(thing: Any) -> int:
    return id(getattr(thing, "_whole", thing))


_ring = object()  # the tag of our own bell
_caller = _Caller()
forkhooks.around(_caller.pause, _caller.resume, _caller.restart)
forkhooks.after_in_child(_caller.forget)


def _call_back(function: Callback, thing: Any) -> None:
    try:
        function(thing)
    except Exception:
        name = repr(thing.name) if isinstance(thing, Process) else repr(thing)
        sys.stderr.write(f"exception in a done callback of {name}:\n")
        traceback.print_exc()


def add(thing: Any, function: Callback, *, quick: bool = False) -> Pending:
    """Call ``function(thing)`` once `thing` is done, in a thread of ours: that of users' callbacks, or `quick`, in the one that
    watches, which must not be kept. Raises TypeError if it cannot be called, RuntimeError when no thread can be had, and as
    `Watch.add`; it is not called then."""
    if not callable(function):
        raise TypeError(f"a callback must be callable; got {function!r}")
    pending = Pending(thing, function, quick)
    _caller.add(pending)
    return pending


def drop(pending: Pending) -> None:
    """Do not call it, unless it was called already. May be called by the garbage collector."""
    _caller.drop(pending)


def closing(thing: Any) -> None:
    """To be said by what has `add_done_callback` before it closes: callbacks on it are called."""
    _caller.closing(thing)
