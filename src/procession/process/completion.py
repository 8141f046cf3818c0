"""Waiting for several things in an event loop, and taking them one by one, as they are done, in place or in an event loop."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from procession.core import loops
from procession.errors import WaitTimeout
from procession.process import callbacks
from procession.process.process import Process
from procession.process.waiting import ALL_COMPLETED, DoneAndNotDone, Goal, deadline_of, seconds_to
from procession.process.watch import Entry, Watch, each_of

__all__ = ["Completions", "as_completed", "wait_async"]

_T = TypeVar("_T")


async def wait_async(
    objects: Iterable[_T], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDone[_T]:
    """`wait` for an event loop: waits there without a thread, for any number of things with one descriptor. Cancelled, it has
    taken nothing."""
    loop = loops.current()
    deadline = loop.deadline(timeout)
    goal = Goal(objects, return_when)
    await loop.checkpoint()
    watch = Watch()
    try:
        for thing in goal.things:
            watch.add(thing)
        in_time = True
        while True:
            goal.take(watch.done())
            watch.look(watch.sleep(0))
            goal.take(watch.done())  # (others may be done, too)
            if goal.is_reached() or not in_time:
                return goal.result()
            in_time = await loop.usable(watch.fd, deadline=deadline)
    finally:
        watch.close()


class _Relay:
    """What is told by the callbacks' thread that something is done, and tells a watch. It keeps neither alive."""

    def __init__(self, watch: Watch, entry: Entry) -> None:
        self._watch = weakref.ref(watch)
        self._entry = entry

    def __call__(self, thing: Any) -> None:
        watch = self._watch()
        if watch is None or watch.is_over:
            thing._pass_on()
        else:
            watch.find(self._entry)
            if watch.is_over:  # (since just now)
                thing._pass_on()


class Completions(Generic[_T]):
    """What `as_completed` returns: an iterator, for ``for`` and for ``async for``."""

    def __init__(self, things: Iterable[_T], timeout: float | None) -> None:
        self._deadline = deadline_of(timeout)
        each = each_of(things)
        self._relays: dict[Entry, callbacks.Pending] = {}
        self._watch = Watch()
        self._all = len(each)
        try:
            for thing in each:
                self._add(thing)
        except BaseException:
            self.close()
            raise

    def _add(self, thing: Any) -> None:
        """Whoever iterates may take long from one to the next, and must not keep a wake-up that is meant for one of several.
        So it is the callbacks' thread that waits for what has such."""
        if not getattr(thing, "_takes_turns", False):
            self._watch.add(thing)
            return
        entry = self._watch.add_told(thing)
        self._relays[entry] = callbacks.add(thing, _Relay(self._watch, entry), quick=True)

    def __iter__(self) -> Completions[_T]:
        return self

    def __aiter__(self) -> Completions[_T]:
        return self

    def __next__(self) -> _T:
        left = None
        while (found := self._next()) is None:
            if not self._watch:
                self.close()
                raise StopIteration
            if left == 0:
                raise self._too_late()
            left = seconds_to(self._deadline)
            self._watch.look(self._watch.sleep(left))
        return found[0]

    async def __anext__(self) -> _T:
        loop = loops.current()
        await loop.checkpoint()
        in_time = True
        while (found := self._next()) is None:
            if not self._watch:
                self.close()
                raise StopAsyncIteration
            if not in_time:
                raise self._too_late()
            left = seconds_to(self._deadline)
            in_time = await loop.usable(self._watch.fd, deadline=None if left is None else loop.time() + left)
            if self._watch:  # (else another task has had the last, or closed it)
                self._watch.look(self._watch.sleep(0))
        return found[0]

    def _next(self) -> tuple[_T] | None:
        if self._watch.is_inherited():
            raise RuntimeError("an as_completed() is for the process that called it, and this is a forked child of it")
        for entry in self._watch.done_entries():
            self._relays.pop(entry, None)
            if isinstance(entry.thing, Process):
                entry.thing._is_over()
            return (entry.thing,)
        return None

    def _too_late(self) -> WaitTimeout:
        return WaitTimeout(len(self._watch), self._all)

    def close(self) -> None:
        """Wait for no more of them. Does not block; may be called again."""
        self._drop()
        if not self._watch.closed:
            loops.closing(self._watch.fd)  # (other tasks may iterate, too)
        self._watch.close()

    def _drop(self) -> None:
        """End the waits of the callbacks' thread. Those that were told, and nobody came to know, are told on."""
        if self._watch.is_inherited():
            return
        self._watch.is_over = True
        while self._relays:
            entry, pending = self._relays.popitem()
            if entry.found:
                entry.thing._pass_on()
            else:
                callbacks.drop(pending)

    def __del__(self) -> None:
        watch = getattr(self, "_watch", None)
        if watch is not None:
            try:
                self._drop()
            finally:
                watch.abandon()


def as_completed(things: Iterable[_T], timeout: float | None = None) -> Completions[_T]:
    """The `things`, each as soon as `wait` would report it, in the order in which they are done; with ``for``, or in an event
    loop with ``async for``, which blocks nobody else. What is there twice comes once.

    All are watched at once, from this call on. Raises ValueError and TypeError as `wait` does, at the call. The iteration
    raises WaitTimeout, a TimeoutError, with how many of how many were not done, when `timeout` seconds have passed since the
    call (None: it waits for ever), and may go on after that. One that is not continued leaves nothing behind. Ctrl-C
    interrupts it, and it may go on. In a forked child it raises RuntimeError.
    """
    return Completions(things, timeout)
