"""Streams: the items of an iterable as tasks, and their outcomes, in order or as they come.

    iterable ──feed──▶ pieces (1 to many items each) ──▶ engine ──▶ outcomes ──▶ whoever iterates

Who iterates feeds as well, in its own thread; so does who makes the stream, as far as there is room at once. Only a stream
for which workers idle while nobody iterates gets a thread that feeds it. Iterables and what they hold are never touched in
the engine's threads.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core.coroutines import is_coroutine_function
from procession.pool.fetching import BATCH, Fetched, Listener
from procession.pool.loop_lane import loop_lane
from procession.pool.messages import Shape
from procession.pool.meter import Meter
from procession.pool.options import Options
from procession.pool.piece import Piece
from procession.pool.sizing import Sizer
from procession.pool.sources import nothing, source_of

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["AHEAD", "Stream"]

#: Of an iterable without a length so many items for each worker are read ahead of who fetches the results.
AHEAD = 16
#: Of any: so many pieces for each worker are under way, at most; of those that grow until they are worth it,
UNDER_WAY = 256
AT_ONCE = 4


class Stream(Fetched):
    """One call of `map` and its kin. One thread iterates, or any number of tasks of an event loop; others may ask."""

    def __init__(
        self, engine: Engine, function: Callable[..., Any], items: Iterable[Any], *, star: bool, size: int | None,
        ordered: bool, options: Options, error_of: Callable[[int, Any], BaseException], length: int | None,
        ahead: int | None = None, progress: Any = None, threads: bool = True,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._function = function
        self._options = options
        self._ordered = ordered
        self._lane = None
        if is_coroutine_function(function):
            self._lane, size = loop_lane(engine), size or 1  # (to gather many in a message would keep them together)
        self.error_of = error_of
        self.batched = size != 1
        many = Shape.MANY_STARS if star else Shape.MANY
        self._shape = many if self.batched else Shape.STAR if star else Shape.ONE
        self._sizer = Sizer(size, length, engine.settings.workers)
        self._adaptive = size is None
        self._source = source_of(items, length if self.batched else None)
        self._most = engine.settings.workers * (AT_ONCE if self._adaptive else UNDER_WAY)
        self._ahead = ahead
        self._progress = None if progress is None else Meter(progress)
        self._threads = threads  # may a thread of ours read the iterable?
        self._aux = 0  # of all its tasks, once it is known
        self._lock = engine.lock
        self._came = threading.Condition(self._lock)
        self._parked = 0
        self._listeners: list[Listener] = []
        self._feeding = threading.Lock()
        self._feeder: threading.Thread | None = None
        self._unvisited = 0  # outcomes since somebody last looked
        self._order = 0  # pieces made
        self._next = 0  # the order of the piece that is wanted next
        self._read = 0  # items read
        self._taken = 0  # items whose outcome was fetched
        self._gone = 0  # pieces that were fetched
        self._done: dict[int, Piece] = {}
        self._line: deque[Piece] = deque()
        self._error: BaseException | None = None  # the iterable's
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
            while not self.exhausted and (room := self._room()):
                pieces = self._make(min(room, BATCH) if self._ahead is None else 1)  # (its next item may wait for this one)
                if pieces:
                    self._engine.submit_pieces(pieces)
        except BaseException:  # the pool is closed; or a Ctrl-C, and there may be a piece that was made and not handed on
            self.close()
            raise
        finally:
            self._feeding.release()

    def _room(self) -> int:
        """For so many pieces more."""
        if self.closed:
            return 0
        most = self._most - self.under_way()
        if self._ahead is not None and not self.unbounded:
            most = min(most, -(-(self._ahead - (self._read - self._taken)) // self._sizer.size))
        return max(most, 0)

    def _make(self, most: int) -> list[Piece]:
        if not self.batched:
            items, whole = self._items(most)
            pieces = [self._piece(item, 1) for item in items]
        else:
            pieces, whole = [], True
            while whole and len(pieces) < most:
                items, whole = self._items(self._sizer.next(self._read))
                if len(items):
                    pieces.append(self._piece(items, len(items)))
        made = [piece for piece in pieces if self._prepare(piece)]
        if not whole:
            if self._error is not None:
                self._last_words(self._error)
            self._exhaust()
        return made

    def _items(self, most: int) -> tuple[Any, bool]:
        """Items, and whether there may be more; what the iterable raised behind them is kept."""
        items: list[Any] = []
        try:
            found = self._source(most)
            if type(found) is not islice:
                return found, len(found) == most
            items.extend(found)  # (keeps those that came before an error)
        except BaseException as error:
            self._error = error
            return items, False
        return items, len(items) == most

    def _piece(self, body: Any, count: int) -> Piece:
        piece = Piece()
        piece.stream, piece.job, piece.extra, piece.number, piece.lane = self, body, None, 0, self._lane
        piece.count, piece.index, piece.order = count, self._read, self._order
        self._order += 1
        self._read += count
        return piece

    def _prepare(self, piece: Piece) -> bool:
        """Write it down. In the thread of who feeds: this pickles."""
        try:
            if self._aux:
                piece.aux, piece.function, piece.job = self._aux, self._function, _native.pack(piece.job)
            else:
                piece.prepare(self._engine.functions, self._function, self._shape, piece.job, self._options)
                if piece.extra is None and piece.function is not None:
                    self._aux = piece.aux  # all others go the same way
        except Exception as error:
            with self._lock:
                piece.fail(error)
            return False
        return True

    def _last_words(self, error: BaseException) -> None:
        """What the iterable raised comes where its item would have come."""
        piece = self._piece(None, 0)
        with self._lock:
            piece.fail(error)

    def _exhaust(self) -> None:
        with self._lock:
            self.exhausted = True
            self._source = nothing
            self._announce()
            self._engine.stream_read(self)
            self._perhaps_all()
        self._engine.nudge()  # (who waits for the end may be collecting)

    def _perhaps_all(self) -> None:
        if not self.exhausted or self.under_way():
            return
        if self._progress is not None:
            self._progress.finish()
        if self.when_ended is not None:
            self.when_ended()

    def _feed_alone(self) -> None:
        """The thread of a stream that nobody iterates over."""
        while not self.exhausted and not self.closed:
            try:
                self.feed()
            except Exception:  # the pool was closed or broken
                return
            with self._lock:
                if not self.exhausted and not self.closed and not self._room():
                    self._parked += 1
                    self._came.wait()
                    self._parked -= 1

    # --- outcomes ---

    def ended(self, piece: Piece, seconds: float) -> None:
        """A piece has ended. With the engine's lock. If a signal's handler raises in the middle, it is told so once more."""
        piece.job = piece.function = None
        if self._adaptive:
            self._sizer.learn(piece.count, seconds)
        if self.forgotten:
            self._taken += piece.count
            self._gone += 1
        elif self._ordered:
            self._done[piece.order] = piece
        elif not self._line or self._line[-1] is not piece:
            self._line.append(piece)
        self._unvisited += 1
        if self._parked or self._listeners:
            self._announce()
        if self._progress is not None:
            self._progress.advance(piece.count)
        if self.exhausted:
            self._perhaps_all()
        elif self._feeder is None and self._threads and self._unvisited > self._most // 4 and self._hungry():
            self.feed_by_thread()

    def _hungry(self) -> bool:
        """Workers will soon have nothing of it to do, and there is more."""
        if self.exhausted or self.closed or self.under_way() > self._most // 2:
            return False
        return self._room() > 0 and not self._feeding.locked()

    def feed_by_thread(self) -> None:
        """From now on a thread of its own feeds it, whenever there is room."""
        if self._feeder is None and not self.exhausted:
            self._feeder = threading.Thread(target=self._feed_alone, name="procession-feeder", daemon=True)
            self._feeder.start()

    def all_ended(self) -> bool:
        """Whether every item's outcome is there."""
        return self.closed or (self.exhausted and self.under_way() == 0)

    def under_way(self) -> int:
        """How many pieces were made and have not ended. (Not counted, but found: a count could be wrong after a Ctrl-C.)"""
        return self._order - self._gone - len(self._done) - len(self._line)

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
            self._gone += len(self._done) + len(self._line)
            self._done.clear()
            self._line.clear()
            self._announce()

    def close(self) -> None:
        """Nobody wants the rest: what is not running is forgotten."""
        if sys.is_finalizing():
            return
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._source = nothing
            self._announce()
            self._engine.stream_read(self)
            if self.when_ended is not None:  # (nothing more comes)
                self.when_ended()
        self._engine.nudge()
        if self._progress is not None:
            self._progress.finish()
