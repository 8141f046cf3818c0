"""The side of a stream at which its outcomes are fetched, in place or in an event loop.

Who waits there feeds the stream meanwhile, in his own thread; a task of a loop in the loop's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.core import loops
from procession.core.seconds import timeout_of

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.piece import Piece

__all__ = ["BATCH", "Fetched", "Listener"]

#: So many pieces are made, or fetched, at a time.
BATCH = 64

#: Who waits in an event loop: until when, and what then to call (in any thread, with the engine's lock).
Listener = tuple[Callable[[], bool], Callable[[], None]]


class Fetched:
    """What `Stream` is made on."""

    _engine: Engine
    _lock: threading.RLock
    _came: threading.Condition
    _parked: int
    _listeners: list[Listener]
    _feeder: threading.Thread | None
    _ordered: bool
    _ahead: int | None
    _most: int
    _unvisited: int
    _order: int
    _next: int
    _taken: int
    _gone: int
    _done: dict[int, Piece]
    _line: deque[Piece]
    batched: bool
    exhausted: bool
    closed: bool
    unbounded: bool

    if TYPE_CHECKING:

        def feed(self) -> None: ...
        def _hungry(self) -> bool: ...
        def all_ended(self) -> bool: ...
        def under_way(self) -> int: ...
        def close(self) -> None: ...

    # --- what is there ---

    def has_next(self) -> bool:
        """Whether who fetches need not wait."""
        return (self._next in self._done if self._ordered else bool(self._line)) or self.all_ended()

    def take_all(self) -> list[Piece | None]:
        """All pieces, in order; None in place of those that never came, because it was closed."""
        pieces = [self._done.get(order) for order in range(self._next, self._order)]
        if not self.exhausted:
            pieces.append(None)
        self._done.clear()
        self._gone = self._order
        return pieces

    def pop(self) -> Piece | None:
        """The next piece if it has ended. Does not block; may feed."""
        piece = self._pop()
        if piece is not None:
            self._taken += piece.count
            self._visited()
        return piece

    def _pop(self) -> Piece | None:
        try:
            if self._ordered:
                piece = self._done.pop(self._next, None)
                if piece is None:
                    return None
                self._next += 1
            else:
                if not self._line:
                    return None
                piece = self._line.popleft()
            self._gone += 1  # (after it: in between there is one more under way, not one fewer)
        except BaseException:  # a Ctrl-C, and perhaps a piece that nobody has any more
            self.close()
            raise
        return piece

    def _visited(self) -> None:
        """Somebody fetches: there may be room, and somebody to feed."""
        self._unvisited = 0
        if self.exhausted:
            return
        if self._feeder is None:
            if self.under_way() <= self._most // 2:
                self.feed()
        elif self._parked:
            with self._lock:
                self._came.notify_all()

    def take_plain(self, into: deque[Any]) -> None:
        """What is there, if it is single results that need not be unpickled, in its order: put into a deque. Perhaps nothing.
        (Of a stream that may not be read ahead only what is asked for is taken: `next_piece`.)"""
        if self.batched or self._ahead is not None:
            return
        try:
            gone = self._gone
            while (piece := self._first()) is not None and piece.plain() and len(into) < BATCH:
                into.append(piece.payload)
                if self._ordered:
                    del self._done[self._next]
                    self._next += 1
                else:
                    self._line.popleft()
                gone += 1
            self._taken += gone - self._gone
            self._gone = gone
        except BaseException:  # a Ctrl-C: see `_pop`
            self.close()
            raise
        self._visited()

    def _first(self) -> Piece | None:
        if self._ordered:
            return self._done.get(self._next)
        return self._line[0] if self._line else None

    # --- waiting in place ---

    def next_piece(self, timeout: float | None = None) -> Piece | None:
        """The next piece that has ended; None when there is none to come. Raises TimeoutError after `timeout` seconds."""
        piece = self.pop()
        if piece is None:
            self._wait(self.has_next, timeout)
            piece = self.pop()
            if piece is None:
                self.close()
        return piece

    def wait_all(self, timeout: float | None) -> bool:
        """Wait until every item's outcome is there, without fetching any. False after `timeout` seconds."""
        self.demand_all()
        try:
            self._wait(self.all_ended, timeout)
        except TimeoutError:
            return False
        return True

    def demand_all(self) -> None:
        """Nobody fetches before all is there."""
        with self._lock:
            self.unbounded = True
            self._announce()  # (a feeder may wait for somebody to fetch)

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Until `ready()`, feeding meanwhile."""
        timeout = timeout_of(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.feed_until(ready):
            left = None if deadline is None else deadline - time.monotonic()
            if not self._engine.help(lambda: ready() or self._wants_food(), left, lambda t: self._park(ready, t)):
                raise TimeoutError

    def feed_until(self, ready: Callable[[], bool]) -> bool:
        """`ready()`; who waits for that has to feed."""
        self._unvisited = 0
        if self._feeder is None:
            self.feed()
        return ready()

    def _wants_food(self) -> bool:
        return self._feeder is None and self._hungry()

    def _park(self, ready: Callable[[], bool], timeout: float | None) -> None:
        with self._lock:
            if not ready() and not self._wants_food():
                self._parked += 1
                try:
                    self._came.wait(timeout)
                finally:
                    self._parked -= 1

    # --- waiting in an event loop ---

    async def next_piece_async(self, deadline: float | None) -> Piece | None:
        """The next piece that has ended; None when there is none to come. Raises TimeoutError at `deadline` (of the running
        loop's clock). Cancelled, it has taken nothing. Any number of tasks may ask."""
        while True:
            over = self.all_ended()
            piece = self.pop()
            if piece is not None:
                return piece
            if over:
                self.close()
                return None
            await self._wait_async(self.has_next, deadline)

    async def wait_all_async(self, deadline: float | None) -> bool:
        """`wait_all`, in an event loop. False: `deadline` came before."""
        self.demand_all()
        try:
            await self._wait_async(self.all_ended, deadline)
        except TimeoutError:
            return False
        return True

    async def _wait_async(self, ready: Callable[[], bool], deadline: float | None) -> None:
        loop = loops.current()
        self._engine.help(ready, 0, self._came.wait)  # (raises in a forked child)
        while not self.feed_until(ready):
            note = loop.note()
            listener: Listener = (ready, lambda note=note: loop.from_thread(note.set))  # type: ignore[misc]
            if not self._listen(listener):
                continue
            try:
                if not await note.wait(deadline):
                    raise TimeoutError
            finally:
                self._unlisten(listener)

    def _listen(self, listener: Listener) -> bool:
        """Have it called, once, when it should look again; False: it should at once."""
        with self._lock:
            if listener[0]() or self._wants_food():
                return False
            self._listeners.append(listener)
            return True

    def _unlisten(self, listener: Listener) -> None:
        """It need not be called, if it was not."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _announce(self) -> None:
        """Something has changed. With the lock."""
        self._came.notify_all()
        if self._listeners:
            food = self._wants_food()
            for listener in [each for each in self._listeners if food or each[0]()]:
                self._listeners.remove(listener)
                listener[1]()
