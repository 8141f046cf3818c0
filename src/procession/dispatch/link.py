"""A worker's way to the process of its pool: requests, and the futures of what was asked for. The other side is guests.py."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import _base as futures
from contextlib import suppress
from queue import Empty
from typing import Any

from procession import _native
from procession.core import awaited, callers, codec, forkhooks
from procession.core.seconds import timeout_of
from procession.dispatch.guests import Ask, Reply
from procession.pool import messages, verdicts, worker
from procession.pool.awaiting import Awaiting
from procession.pool.rings import ring

__all__ = ["FarFuture", "Link", "link_here", "waiter"]

BATCH = 64
_OPEN = (futures.PENDING, futures.RUNNING)


class _Waiters(list[Any]):
    """Of a future: those of `concurrent.futures.wait`, `procession.wait` and their like, who do not read answers."""

    def __init__(self, future: FarFuture) -> None:
        self._future = weakref.ref(future)

    def append(self, waiter: Any) -> None:
        super().append(waiter)
        future = self._future()
        if future is not None and not future.is_over():
            future.link.listen(future)
            future.lend(True)

    def remove(self, waiter: Any) -> None:
        super().remove(waiter)
        future = self._future()
        if future is not None:
            future.lend(False)


class FarFuture(Awaiting, Future):  # type: ignore[type-arg]
    """The future of a block that was submitted by a block. Its `result` is unpickled in the caller; it can be awaited."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link
        self.call = 0  # its number, once it was submitted
        self.refused: BaseException | None = None
        self._waits = self._who = 0  # how many wait for it; the task among them that queues know of
        self._telling = threading.Lock()  # of what is said of that
        self._read = threading.Lock()
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._first: Future[None] | None = None  # in an await: done when this is, or when the wait was refused
        self._waiters: list[Any] = _Waiters(self)

    def done(self) -> bool:
        """Whether it has ended, in whatever way. Does not block."""
        if not self.is_over():
            self.link.look()
        return self.is_over()

    def is_over(self) -> bool:
        """The same, of what was read. (Takes no lock.)"""
        return self._state not in _OPEN

    def result(self, timeout: float | None = None) -> Any:
        """As `concurrent.futures.Future.result`. Raises DispatchDeadlock if the block that calls it would wait for itself."""
        value, error = self._get(timeout)
        try:
            if error is not None:
                raise error
            return value
        finally:
            del self, error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._get(timeout)[1]

    def _get(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        self.link.wait_for(self, timeout)
        kind, payload = super().result(0)
        with self._read:
            if self._outcome is None:
                self._outcome = _unpacked(kind, payload)
        return self._outcome

    def wait_here(self, timeout: float | None) -> bool:
        """Wait until it has ended. False after `timeout` seconds. Raises DispatchDeadlock as `result` does."""
        try:
            self.link.wait_for(self, timeout)
        except TimeoutError:
            return False
        return True

    def lend(self, begins: bool, who: int = 0, *, told: bool = False) -> None:
        """One more waits for it, or one less: while there are any another worker may come. `who`: a task that queues know of.
        `told`: that it waits was said with the request."""
        if not self.link.ours:
            return
        with self._telling:
            self._waits += 1 if begins else -1
            if who:
                self._who = who if begins else 0
            if told or self.is_over():
                return
            if not self._waits:
                self._say(Ask.WAIT_NO_MORE)
            elif who or (begins and self._waits == 1):
                self._say(Ask.WAIT, self._who)

    def submit(self, ask: Ask, call: int, *what: Any) -> None:
        """Ask for it, with that number; those who wait for it already do so from now on."""
        with self._telling:
            self.call = call
            self._say(ask, *what)
            if self._waits:
                self._say(Ask.WAIT, self._who)

    def _say(self, ask: Ask, *what: Any) -> None:
        if self.call:
            self.link.say(ask, self.call, *what)

    def cancel(self) -> bool:
        """End it as cancelled; if it runs, it is stopped, as pools do. False if it has ended already."""
        if not super().cancel():
            return False
        self._tell_cancelled()
        if self.call and self.link.ours:
            self.link.say(Ask.CANCEL, self.call)
        return True

    def _tell_cancelled(self) -> None:
        """Its waiters, for whom it is not over before, whatever `done` says."""
        with self._condition:
            if self._state == futures.CANCELLED:
                self.set_running_or_notify_cancel()

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call it when this has ended, in a thread of ours; at once if it has."""
        super().add_done_callback(fn)
        if not self.is_over():
            self.link.listen(self)

    def _invoke_callbacks(self) -> None:
        """(Not in place: who reads the answers is here, and a callback may wait for another one.)"""
        calls: list[Any] = self._done_callbacks
        self._done_callbacks: list[Any] = []
        callers.call_back(calls, self)

    def _check_here(self) -> None:
        if not self.is_over():
            self.link.check()

    async def await_end(self, deadline: float | None) -> bool:
        """Raises DispatchDeadlock as `result` does, if it is the block itself that awaits."""
        who = waiter() if _is_block() else 0
        if not who or self.done():
            return await super().await_end(deadline)
        first = self._first = Future()
        self.add_done_callback(lambda _: _end(first))
        self.lend(True, who)
        try:
            await awaited.done(first, deadline)
        finally:
            self.lend(False, who)
        self.check_refused()
        return self.is_over()

    def check_refused(self) -> None:
        """Raises DispatchDeadlock, once, if the wait for it was refused."""
        refused, self.refused = self.refused, None
        try:
            if refused is not None and not self.is_over():
                raise refused
        finally:
            del refused

    def take(self, kind: int, payload: Any) -> None:
        """What was answered."""
        if kind == Reply.REFUSED:
            self.refused = codec.loads(payload, None)
            if self._first is not None:
                _end(self._first)
            return
        with suppress(futures.InvalidStateError):  # (it was cancelled here)
            self.set_result((kind, payload))


def _unpacked(kind: int, payload: Any) -> tuple[Any, BaseException | None]:
    """What came, as value or error. Runs the user's code."""
    try:
        if type(payload) is _native.Message:
            payload = payload.load()  # (bytes, too many for a message)
        if kind == messages.Kind.VALUE:
            return codec.loads(payload, None), None
        if kind == messages.Kind.STOPPED:
            return None, CancelledError("the block stopped itself")
        if kind in (messages.Kind.ERROR, messages.Kind.UNSENT):
            return None, verdicts.loaded(payload[:3])
        return (None, None) if kind == Reply.DONE else (None, codec.loads(payload, None))
    except BaseException as error:
        return None, error


class Link:
    """This worker's way to the process of its pool. Threads may share it."""

    def __init__(self, here: Any) -> None:
        self._results, self._worker = here.results, here.id
        self.ours = True  # not the parent's, in a forked child
        self._lock = threading.Lock()  # so that requests go in the order of their numbers
        self._numbers = itertools.count(1)
        self._calls = itertools.count(1)
        self._open: dict[int, FarFuture] = {}
        self._replies = ring()
        self._lead = _native.Lead()  # of who reads them
        self._inbox: list[tuple[int, int, Any]] = []
        self._came = threading.Condition()
        self._heard: set[FarFuture] = set()  # those that have callbacks
        self._listens = False
        self.say(Ask.HELLO, self._replies)

    def check(self) -> None:
        """Raises RuntimeError in a forked child: the answers are the parent's."""
        if not self.ours:
            raise RuntimeError(f"what was submitted belongs to another process, which submitted it; this is {os.getpid()}")

    def say(self, *what: Any) -> None:
        self.check()
        with self._lock:
            self._results._put_task(next(self._numbers), messages.outcome(messages.Kind.REQUEST, self._worker), what)

    def call(self, future: FarFuture, ask: Ask, *what: Any) -> None:
        call = next(self._calls)
        self._open[call] = future
        try:
            future.submit(ask, call, *what)
        except BaseException:  # (it was not sent, or is nobody's)
            self._open.pop(call, None)
            raise

    # --- answers ---

    def wait_for(self, future: FarFuture, timeout: float | None, told: bool = False) -> None:
        """Until it has ended. `told`: that we wait was said with the request. Raises TimeoutError."""
        if future.done():
            return
        self.check()
        who = waiter()
        future.lend(True, who, told=told)
        try:
            if not self._read_until(lambda: future.is_over() or future.refused is not None, timeout):
                raise TimeoutError
        finally:
            future.lend(False, who)
        future.check_refused()

    def look(self) -> None:
        """Take what is there. Does not block."""
        if not self.ours:
            return
        self._read(0)

    def _read_until(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        timeout = timeout_of(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            if self._read(left):
                continue
            with self._came:
                if self._lead.held and not ready():
                    self._came.wait(left)
        return True

    def _read(self, left: float | None) -> bool:
        """Take what comes, unless another does. Whether we did: those who sleep meanwhile look again then, and one may lead."""
        mine = False
        try:
            with self._lead as mine:
                if mine:
                    self._take(left)
        finally:
            if mine:
                with self._came:
                    self._came.notify_all()
        return mine

    def _take(self, left: float | None) -> None:
        """Wait for an answer; hand on what is there. (If we are interrupted in the middle it is done once more.)"""
        try:
            with suppress(Empty):
                self._replies._get_tasks(BATCH, 0 if self._inbox else left, self._inbox)
        finally:
            for call, kind, payload in self._inbox:
                future = self._open.get(call)
                if future is not None:
                    future.take(kind, payload)
                    if kind != Reply.REFUSED:
                        self._open.pop(call, None)
            self._inbox.clear()

    def listen(self, future: FarFuture) -> None:
        """It has callbacks: a thread reads the answers until it has ended."""
        self.check()
        with self._came:
            self._heard.add(future)
            if not self._listens:
                threading.Thread(target=self._listen, name="procession-replies", daemon=True).start()
                self._listens = True  # (not before: a block may be stopped in between, and the next one waits for answers, too)

    def _listen(self) -> None:
        while True:
            with self._came:
                self._heard = {future for future in self._heard if not future.is_over()}
                if not self._heard:
                    self._listens = False
                    return
                one = next(iter(self._heard))
            self._read_until(lambda one=one: one.is_over(), None)  # type: ignore[misc]


_link: Link | None = None
_making = threading.Lock()


def waiter() -> int:
    """The number of the task that waits if this thread does; 0: none that queues know of."""
    return _native.task_mine() if threading.current_thread() is threading.main_thread() else 0


def _is_block() -> bool:
    """Whether the caller is a coroutine that is a block, or the one that a block returned."""
    here = worker.myself()
    return here is not None and here.loop is not None and here.loop.is_in_hand()


def _end(first: Future[None]) -> None:
    with suppress(futures.InvalidStateError):
        first.set_result(None)


def link_here() -> Link:
    global _link
    with _making:
        if _link is None:
            _link = Link(worker.myself())
        return _link


@forkhooks.after_in_child
def _forget() -> None:
    global _link, _making
    if _link is not None:
        _link.ours = False
    _link, _making = None, threading.Lock()
