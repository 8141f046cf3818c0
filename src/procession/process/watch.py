"""A watch: one descriptor for any mix of things that are waited for.

What has a descriptor is in one epoll, and so is the bell (native/bell.h) of all that lies in the family's memory. Whatever
happens makes the epoll readable; the cost of an event does not depend on how many things are watched. Nothing polls.
"""

from __future__ import annotations

import os
import select
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from procession import _native
from procession.process.family import family
from procession.process.process import Process

__all__ = ["Entry", "Watch", "each_of", "is_future", "tells_late"]

_T = TypeVar("_T")

_LONGEST = 1_000_000.0  # seconds that epoll can be asked to sleep


def is_future(thing: Any) -> bool:
    """Whether it is a future of `concurrent.futures`, or of a pool of ours, or has their protocol (`core/awaited.py`)."""
    return hasattr(thing, "add_done_callback") and hasattr(thing, "_condition")


def tells_late(future: Any) -> bool:
    """Whether who cancels it tells only its callbacks, and its executor its waiters, when it comes to it."""
    cancel = getattr(type(future), "cancel", None)
    return getattr(cancel, "__module__", "") == "concurrent.futures._base"


class Entry:
    """One thing in a watch, of any kind. `tag` is what it is reported as."""

    __slots__ = ("__weakref__", "fd", "found", "popen", "tag", "thing", "wait", "watch")

    def __init__(self, thing: Any, tag: Any) -> None:
        self.thing = thing
        self.tag = tag
        self.fd = -1
        self.popen: Any = None  # a process's: with it the descriptor stays, also when another closes the process
        self.wait: int | None = None
        self.found = False  # it is among those to be looked at
        self.watch: Any = None

    # --- as a waiter of a future: told under the future's condition, in whatever thread ---

    def add_result(self, future: Any) -> None:
        watch = self.watch() if self.watch is not None else None
        if watch is not None:
            watch.find(self)

    add_exception = add_cancelled = add_result

    # --- as one of a connection's `_watch_entries` ---

    def closing(self) -> None:
        """It is about to be closed, which its descriptor would not tell. In any thread."""
        watch = self.watch()
        if watch is not None and not watch.is_inherited():
            watch.find(self)


class _Called:
    """A future's callback, in place of a waiter's `add_cancelled`."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = weakref.ref(entry)

    def __call__(self, future: Any) -> None:
        entry = self.entry()
        if entry is not None:
            entry.add_result(future)


def _forget_call(entry: Entry) -> None:
    """Its future calls nobody for it any more. (With the condition. When the future is done, its callbacks may be being
    called.)"""
    future = entry.thing
    if tells_late(future) and not future.done():
        calls = future._done_callbacks
        calls[:] = [call for call in calls if type(call) is not _Called or call.entry() is not entry]


class Watch:
    """Things, each until it is done. For one thread, but for `find`.

    A signal's handler may raise at any moment, in here as well. Then the waits end with the watch.
    """

    def __init__(self, things: Iterable[Any] = ()) -> None:
        self._epoll = select.epoll()
        self._bell: _native.Bell | None = None
        self._rung: set[int] = set()  # in its place, where there is none: eventfds that are readable
        self._entries: set[Entry] = set()
        self._by_fd: dict[int, list[Entry]] = {}
        self._by_wait: dict[int, Entry] = {}
        self._found: deque[Entry] = deque()
        self._pid = os.getpid()
        self.is_over = False  # nobody looks at what is found
        try:
            for thing in things:
                self.add(thing)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """How many are not done, or not reported."""
        return len(self._entries)

    @property
    def fd(self) -> int:
        """A descriptor that is readable when something has happened."""
        return self._epoll.fileno()

    @property
    def closed(self) -> bool:
        return self._epoll.closed

    # --- what is watched ---

    def add(self, thing: Any, tag: Any = None) -> Entry:
        """Watch `thing`; it is reported as `tag` if that is not None. Raises ValueError for a process that was not started,
        ProcessStateError for one that is not our child, TypeError for what cannot be waited for."""
        entry = Entry(thing, thing if tag is None else tag)
        if isinstance(thing, Process):
            thing._check_parent("wait for")
            entry.popen = popen = thing._opened()
            self._add_fd(entry, thing.sentinel if popen is None else popen.sentinel)
        elif hasattr(thing, "_watch"):
            self._add_wait(entry)
        elif is_future(thing):
            self._add_future(entry)
        else:
            if hasattr(thing, "_watch_entries"):
                self._add_connection(entry)
            self._add_fd(entry, _fd_of(thing))
        self._entries.add(entry)
        return entry

    def add_told(self, thing: Any) -> Entry:
        """One of which another says that it is done, by `find`."""
        self._channel()
        entry = Entry(thing, thing)
        self._entries.add(entry)
        return entry

    def _add_fd(self, entry: Entry, fd: int) -> None:
        entry.fd = fd
        self._by_fd.setdefault(fd, []).append(entry)
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except FileExistsError:  # (for another entry)
            pass
        except PermissionError:  # a regular file: it can always be read
            self._note(entry)
        except BaseException:
            self._remove_fd(entry)
            raise

    def _add_connection(self, entry: Entry) -> None:
        connection = entry.thing
        if connection._incoming is not None:
            self._note(entry)  # (a message that was begun: the rest comes by another descriptor)
        entry.watch = weakref.ref(self)
        if connection._watch_entries is None:
            connection._watch_entries = set()
        connection._watch_entries.add(weakref.ref(entry, connection._watch_entries.discard))

    def _add_wait(self, entry: Entry) -> None:
        entry.wait = wait = entry.thing._watch(self._channel().number)
        if wait is not None:
            self._by_wait[wait] = entry
        if wait is None or entry.thing._is_ready(wait):
            self._note(entry)

    def _add_future(self, entry: Entry) -> None:
        self._channel()
        entry.watch = weakref.ref(self)  # (if we are interrupted, nobody takes us out there)
        with entry.thing._condition:
            entry.thing._waiters.append(entry)
            if tells_late(entry.thing) and not entry.thing.done():
                entry.thing._done_callbacks.append(_Called(entry))
        if entry.thing.done():
            self._note(entry)

    def _channel(self) -> _native.Bell:
        if self._bell is None:
            family.ensure()  # (of a future nobody knows of one)
            bell = _native.Bell()
            self._epoll.register(bell.fd, select.EPOLLIN)
            self._bell = bell  # (not before: one that is not in the epoll would wake nobody)
        return self._bell

    def remove(self, entry: Entry, reported: bool = False) -> None:
        """Watch it no more. May be called again."""
        if entry not in self._entries:
            return
        self._entries.discard(entry)
        if entry.fd >= 0:
            self._remove_fd(entry)
        elif entry.wait is not None:
            wait, entry.wait = entry.wait, None
            self._by_wait.pop(wait, None)
            entry.thing._unwatch(wait, reported)
        elif entry.watch is not None:
            with entry.thing._condition:
                if entry in entry.thing._waiters:
                    entry.thing._waiters.remove(entry)
                _forget_call(entry)

    def _remove_fd(self, entry: Entry) -> None:
        known = self._by_fd.get(entry.fd, [])
        if entry in known:
            known.remove(entry)
        if not known and self._by_fd.pop(entry.fd, None) is not None:
            self._unregister(entry.fd)

    def _unregister(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError:
            pass  # (a regular file, or closed)

    # --- what has happened ---

    def find(self, entry: Entry) -> None:
        """`entry` is done. In any thread."""
        self._note(entry)
        self.ring()

    def ring(self) -> None:
        """Make the descriptor readable. In any thread."""
        if self._bell is not None:
            self._bell.ring()
            return
        if self._rung:  # (it is readable until `look` takes that out; what was found is looked at after it)
            return
        with suppress(OSError):  # (no descriptor is to be had)
            fd = os.eventfd(1, os.EFD_CLOEXEC)
            self._rung.add(fd)
            try:
                self._epoll.register(fd, select.EPOLLIN)
            except (OSError, ValueError):  # (the epoll was closed just now)
                self._unring(fd)

    def _unring(self, fd: int) -> None:
        with suppress(KeyError):  # (it is closed once, by whoever takes it out)
            self._rung.remove(fd)
            os.close(fd)

    def _note(self, entry: Entry) -> None:
        if not entry.found:
            entry.found = True
            self._found.append(entry)

    def sleep(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait until something has happened, `timeout` seconds at most (None: for ever); what, for `look`. Ctrl-C interrupts
        it. May end too early, with nothing. Changes nothing here."""
        if self._found:
            timeout = 0
        return self._epoll.poll(None if timeout is None else min(max(timeout, 0), _LONGEST))

    def look(self, events: list[tuple[int, int]]) -> None:
        """Find those that it was about."""
        bell = self._bell
        for fd, _ in events:
            if bell is not None and fd == bell.fd:
                os.read(fd, 8)
            elif fd in self._by_fd:
                for entry in self._by_fd[fd]:
                    self._note(entry)
            else:
                self._unregister(fd)  # (it was rung; or an `add` was interrupted)
                self._unring(fd)
        if bell is None:
            return
        for wait in _native.waits_told(bell.number):  # (what has happened by now is seen, though the bell be slower)
            if wait in self._by_wait:
                self._note(self._by_wait[wait])
            else:
                _native.wait_abandon(wait)  # (an `add` was interrupted)

    def done(self) -> Iterator[Any]:
        """What stands for those that were found and are done, each once; no longer watched."""
        return (entry.tag for entry in self.done_entries())

    def done_entries(self) -> Iterator[Entry]:
        """The entries of the same."""
        while self._found:
            entry = self._found.popleft()
            entry.found = False
            if entry not in self._entries or not self._is_done(entry):
                continue
            self.remove(entry, reported=True)
            yield entry

    def _is_done(self, entry: Entry) -> bool:
        if entry.wait is not None:
            return bool(entry.thing._is_ready(entry.wait))
        if entry.popen is not None:
            entry.popen.wait()  # it has ended; the reaper may be about to note how
        return True

    def is_inherited(self) -> bool:
        """Whether we are a forked child, and it is the parent's."""
        return self._pid != os.getpid()

    def close(self) -> None:
        """The end of all waits in it; wake-ups that were not reported are others'. May be called again."""
        if self.is_inherited():
            return
        while self._entries:
            self.remove(next(iter(self._entries)))
        if self._bell is not None:
            self._bell.close()
        self._close_epoll()

    def abandon(self) -> None:
        """The same, when the garbage collector comes: it may come while this very thread has locks, so none is waited for."""
        if self.is_inherited():
            return
        for entry in self._entries:
            if entry.fd < 0 and entry.watch is not None and entry.thing._condition.acquire(False):
                if entry in entry.thing._waiters:
                    list.remove(entry.thing._waiters, entry)  # (a list of its own kind might take locks: dispatch/link.py)
                _forget_call(entry)
                entry.thing._condition.release()
        self._entries.clear()
        if self._bell is not None:
            self._bell.close()  # (with all waits of it)
        self._close_epoll()

    def _close_epoll(self) -> None:
        self._epoll.close()
        for fd in list(self._rung):
            self._unring(fd)


def each_of(things: Iterable[_T]) -> dict[_T, None]:
    """What is to be waited for, each once. Raises TypeError for what is not several things, or can be no key."""
    if not hasattr(type(things), "__iter__") and not hasattr(type(things), "__getitem__"):
        raise TypeError(f"expected an iterable of what is to be waited for, [thing] for one; got {things!r}")
    each: dict[_T, None] = {}
    for thing in things:
        if getattr(thing, "__hash__", None) is None:
            raise _cannot_wait_for(thing)
        each[thing] = None
    return each


def _fd_of(thing: Any) -> int:
    if isinstance(thing, int) and not isinstance(thing, bool):
        return thing
    fileno = getattr(thing, "fileno", None)
    if fileno is not None:
        return int(fileno())
    raise _cannot_wait_for(thing)


def _cannot_wait_for(thing: Any) -> TypeError:
    hint = getattr(thing, "_wait_hint", "")
    return TypeError(
        f"cannot wait for {thing!r}{hint}: expected a process, a future or result of a pool, an event, a lock, a semaphore, a "
        "condition, a barrier, a queue, a connection, a dispatch group, a scope, a descriptor, or an object with fileno()"
    )
