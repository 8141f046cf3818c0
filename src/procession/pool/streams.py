"""Streams: the items of an iterable as tasks, and their outcomes, in order or as they come.

    iterable ──feed──▶ pieces (1 to many items each) ──▶ engine ──▶ outcomes ──▶ whoever iterates

Who iterates feeds as well, in its own thread; so does who makes the stream, as far as there is room at once. Only a stream
for which workers idle while nobody iterates gets a thread that feeds it. Iterables and what they hold are never touched in
the engine's threads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from itertools import islice
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.pool.messages import Kind, Shape
from procession.pool.options import Options
from procession.pool.sizing import Sizer
from procession.pool.task import Task

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Failure", "Piece", "Stream"]

#: Of an iterable without a length so many items for each worker are read ahead of who fetches the results.
AHEAD = 16
#: Of any: so many pieces for each worker are under way.
UNDER_WAY = 256


class Failure:
    """An outcome that is an error."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Piece(Task):
    """Some items, from `index` on, as one task."""

    __slots__ = ("count", "index", "kind", "order", "payload", "stream")

    stream: Stream
    order: int
    index: int
    count: int
    kind: int
    payload: Any

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        self.kind, self.payload = kind, payload
        self.stream.ended(self, seconds)

    def fail(self, error: BaseException) -> None:
        self.kind, self.payload = 0, error
        self.stream.ended(self, 0.0)

    def begin(self) -> bool:
        return not self.stream.closed

    def values(self) -> list[Any] | Failure:
        """The results of its items. In the thread of who wants them: this unpickles."""
        kind, payload = self.kind, self.payload
        self.payload = None
        try:
            if type(payload) is _native.Message:
                payload = payload.load()
            if kind == Kind.VALUE:
                return payload if self.stream.batched else [payload]
            if kind == Kind.STOPPED:
                return Failure(CancelledError("the task stopped itself"))
            return Failure(self.stream.error_of(kind, payload) if kind else payload)
        except BaseException as error:
            return Failure(error)


class Stream:
    """One call of `map` and its kin. One thread iterates; others may ask."""

    def __init__(
        self, engine: Engine, function: Callable[..., Any], items: Iterable[Any], *, star: bool, size: int | None,
        ordered: bool, options: Options, error_of: Callable[[int, Any], BaseException], length: int | None,
        ahead: int | None = None, progress: Any = None, threads: bool = True,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._function = function
        self._options = options
        self._ordered = ordered
        self.error_of = error_of
        self.batched = size != 1
        many = Shape.MANY_STARS if star else Shape.MANY
        self._shape = many if self.batched else Shape.STAR if star else Shape.ONE
        self._sizer = Sizer(size, length, engine.settings.workers)
        self._source = _source(items, length if self.batched else None)
        self._ahead = ahead
        self._progress = progress
        self._threads = threads  # may a thread of ours read the iterable?
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._feeding = threading.Lock()
        self._feeder: threading.Thread | None = None
        self._unvisited = 0  # outcomes since somebody last looked
        self._order = 0  # pieces made
        self._next = 0  # the order of the piece that is wanted next
        self._read = 0  # items read
        self._taken = 0  # items whose outcome was fetched
        self._under_way = 0
        self._done: dict[int, Piece] = {}
        self._line: deque[Piece] = deque()
        self.exhausted = False
        self.closed = False
        self.unbounded = False  # nobody will fetch before all is done
        self.forgotten = False  # nobody will fetch at all
        self.when_ended: Callable[[], None] | None = None  # called when all have ended; must not run users' code
        engine.streams.add(self)

    # --- feeding ---

    def feed(self) -> None:
        """Make pieces of items as far as there is room. Runs the user's code: what the iterable raises ends it, as its last
        outcome."""
        if self.exhausted or self.closed or not self._feeding.acquire(blocking=False):
            return
        try:
            while (room := self._room()) and not self.exhausted:
                pieces = self._make(min(room, 32))
                if pieces:
                    self._engine.submit_many(pieces, open_already=True)
        finally:
            self._feeding.release()

    def _room(self) -> int:
        if self.closed:
            return 0
        most = UNDER_WAY * self._engine.settings.workers
        if self._ahead is not None and not self.unbounded:
            most = min(most, -(-(self._ahead - (self._read - self._taken)) // self._sizer.size))
        return max(most - self._under_way, 0)

    def _make(self, most: int) -> list[Piece]:
        pieces: list[Piece] = []
        for _ in range(most):
            try:
                items = self._source(self._sizer.next(self._read))
            except BaseException as error:
                pieces += self._last_words(error)
                break
            if len(items) == 0:
                self._exhaust()
                break
            pieces += self._piece(items)
        return pieces

    def _last_words(self, error: BaseException) -> list[Piece]:
        """What the iterable raised comes where its item would have come."""
        self._exhaust()
        piece = self._new(0)
        piece.fail(error)
        return []

    def _piece(self, items: Any) -> list[Piece]:
        piece = self._new(len(items))
        try:
            body = items if self.batched else items[0]
            piece.prepare(self._engine.functions, self._function, self._shape, body, self._options)
        except Exception as error:
            piece.fail(error)
            return []
        return [piece]

    def _new(self, count: int) -> Piece:
        piece = Piece()
        piece.stream = self
        piece.extra, piece.number, piece.job = None, 0, None
        piece.count, piece.index, piece.order = count, self._read, self._order
        with self._lock:
            self._order += 1
            self._read += count
            self._under_way += 1
        return piece

    def _exhaust(self) -> None:
        with self._lock:
            self.exhausted = True
            self._source = _nothing
            self._came.notify_all()
        self._engine.stream_read(self)
        self._perhaps_all()

    def _perhaps_all(self) -> None:
        if self.when_ended is not None and self.exhausted and self._under_way == 0:
            self.when_ended()

    def _feed_alone(self) -> None:
        """The thread of a stream that nobody iterates over."""
        while not self.exhausted and not self.closed:
            try:
                self.feed()
            except Exception as error:  # the pool was closed or broken
                self._last_words(error)
                return
            with self._lock:
                if not self.exhausted and not self.closed and not self._room():
                    self._came.wait()

    # --- outcomes ---

    def ended(self, piece: Piece, seconds: float) -> None:
        """A piece has ended. Called by the engine, with its lock; for what never came so far by who feeds."""
        self._sizer.learn(piece.count, seconds)
        piece.job = piece.function = None
        with self._lock:
            self._under_way -= 1
            if self.forgotten:
                self._taken += piece.count
            elif self._ordered:
                self._done[piece.order] = piece
            else:
                self._line.append(piece)
            self._unvisited += 1
            self._came.notify_all()
            alone = self._unvisited > 4 and self._hungry()
        if self._progress is not None:
            self._progress.advance(piece.count)
        self._perhaps_all()
        if alone and self._threads:
            self.feed_by_thread()

    def _hungry(self) -> bool:
        """Workers will soon have nothing of it to do, and there is more."""
        if self.exhausted or self.closed or self._under_way >= 2 * self._engine.settings.workers:
            return False
        return self._room() > 0 and not self._feeding.locked()

    def feed_by_thread(self) -> None:
        """From now on a thread of its own feeds it, whenever there is room."""
        if self._feeder is None and not self.exhausted:
            self._feeder = threading.Thread(target=self._feed_alone, name="procession-feeder", daemon=True)
            self._feeder.start()

    def _ready(self) -> bool:
        return (self._next in self._done if self._ordered else bool(self._line)) or (self.exhausted and self._under_way == 0)

    def next_piece(self, timeout: float | None = None) -> Piece | None:
        """The next piece that has ended; None when there is none to come. Raises TimeoutError after `timeout` seconds."""
        self._wait(self._ready, timeout)
        with self._lock:
            if self._ordered:
                piece = self._done.pop(self._next, None)
                self._next += piece is not None
            else:
                piece = self._line.popleft() if self._line else None
            if piece is not None:
                self._taken += piece.count
                if self._feeder is not None:
                    self._came.notify_all()
        return piece

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Until `ready()`, feeding meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._unvisited = 0
            if self._feeder is None:
                self.feed()
            if ready():
                return
            left = None if deadline is None else deadline - time.monotonic()
            if not self._engine.help(lambda: ready() or self._wants_food(), left, lambda t: self._park(ready, t)):
                raise TimeoutError

    def _wants_food(self) -> bool:
        return self._feeder is None and self._hungry()

    def _park(self, ready: Callable[[], bool], timeout: float | None) -> None:
        with self._lock:
            if not ready() and not self._wants_food():
                self._came.wait(timeout)

    def all_ended(self) -> bool:
        """Whether every item's outcome is there."""
        return self.closed or (self.exhausted and self._under_way == 0)

    def wait_all(self, timeout: float | None) -> bool:
        """Wait until every item's outcome is there, without fetching any. False after `timeout` seconds."""
        self.unbounded = True
        try:
            self._wait(self.all_ended, timeout)
        except TimeoutError:
            return False
        return True

    def forget(self) -> None:
        """Nobody will fetch what it has. If nobody ever did, all of it is to be done nonetheless; else the rest is
        forgotten."""
        if sys.is_finalizing():  # (our threads have been left, perhaps with our locks)
            return
        if self._taken:
            self.close()
            return
        with self._lock:
            self.forgotten = self.unbounded = True
            self._done.clear()
            self._line.clear()
            self._came.notify_all()

    def close(self) -> None:
        """Nobody wants the rest: what is not running is forgotten."""
        if sys.is_finalizing():
            return
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._source = _nothing
            self._came.notify_all()
        self._engine.stream_read(self)
        if self._progress is not None:
            self._progress.finish()


def _nothing(size: int) -> list[Any]:
    return []


def _source(items: Iterable[Any], length: int | None) -> Callable[[int], Any]:
    """A function that gives the next so many items, and nothing at the end. Slices of what can be sliced."""
    if length is not None and (type(items) in (list, tuple, range) or type(items).__module__ == "numpy"):
        return _Slices(items).next
    iterator = iter(items)
    return lambda size: list(islice(iterator, size))


class _Slices:
    def __init__(self, items: Any) -> None:
        self._items = items
        self._at = 0

    def next(self, size: int) -> Any:
        piece = self._items[self._at : self._at + size]
        self._at += size
        return piece
