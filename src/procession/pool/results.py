"""What the methods of `Pool` return: results to wait for, and iterators over results."""

from __future__ import annotations

import builtins
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import CancelledError
from multiprocessing import TimeoutError
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core import awaited, callers, loops
from procession.pool import dropping, verdicts
from procession.pool.messages import Kind
from procession.pool.piece import Failure
from procession.pool.streams import Stream
from procession.pool.task import Task

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["AsyncResult", "IMapIterator", "MapResult", "error_of"]

Callback = Callable[[Any], object]


def error_of(kind: int, payload: Any) -> BaseException:
    """The error that an outcome is, as `multiprocessing.pool` has it. Runs the user's code (unpickling)."""
    if kind == Kind.STOPPED:
        return CancelledError("the task stopped itself")
    from multiprocessing import pool  # (its imports cost more than a pool)

    theirs: Any = pool
    if kind == Kind.UNSENT:
        error: BaseException = theirs.MaybeEncodingError(verdicts.loaded(payload[:3], theirs.RemoteTraceback), payload[3])
        return error
    return verdicts.loaded(payload, theirs.RemoteTraceback)


#: What a result has. (Said by each class: two bases with slots make no class.)
_SLOTS = (
    "__weakref__", "_calls", "_done_callbacks", "_engine", "_made", "_reading", "_success", "_value", "_waiters",
)  # fmt: skip

_making = threading.Lock()


class _Result:
    """Something that ends once, with a value or an error, and then calls back."""

    if not TYPE_CHECKING:
        __slots__ = ()

    _engine: Engine
    _calls: tuple[Callback | None, Callback | None] | None
    _success: bool | None
    _value: Any
    _made: threading.Condition | None
    _reading: Any  # held by who unpacks the value; None: the condition is

    def _begin(self, engine: Engine, callback: Callback | None, error_callback: Callback | None) -> None:
        self._engine = engine
        self._calls = (callback, error_callback) if callback is not None or error_callback is not None else None
        self._success = None
        self._value = None
        self._made = self._reading = None

    @property
    def _condition(self) -> threading.Condition:
        """Made when somebody needs it, with what belongs to it: most results are never waited for by two threads at once."""
        if self._made is None:
            with _making:
                if self._made is None:
                    self._waiters: list[Any] = []  # as `concurrent.futures.Future` has them (`core.awaited`)
                    self._done_callbacks: list[Callback] = []
                    self._made = threading.Condition(threading.Lock())
        return self._made

    def ready(self) -> bool:
        """Whether it has ended, and its callback has run."""
        return self._success is not None

    def done(self) -> bool:
        """The same, by the name that it has for a future. Does not block."""
        return self.ready()

    def add_done_callback(self, function: Callback) -> None:
        """Call ``function(self)`` once it has ended, at once if it has: in procession's thread for callbacks, after the
        callback that `Pool`'s method was given. What it raises is reported on stderr. Does not block."""
        if not callable(function):
            raise TypeError(f"function must be callable; got {function!r}")
        with self._condition:
            if not self.ready():
                self._done_callbacks.append(function)
                return
        callers.call(function, self)

    def successful(self) -> bool:
        """Whether it ended with a value. Raises ValueError while it has not ended."""
        self._read()
        if self._success is None:
            raise ValueError(f"{self!r} not ready")
        return self._success

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds."""
        if not self.ready():
            self._engine.help(self.ready, timeout, self._park)

    def _park(self, timeout: float | None) -> None:
        with self._condition:
            if not self.ready():
                self._condition.wait(timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The value; waits for it. Raises the task's error (its traceback in the worker is the cause),
        `multiprocessing.TimeoutError` when it has not ended after `timeout` seconds."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        try:
            return self._get()
        finally:
            del self  # (no circle with the traceback)

    def __await__(self) -> Generator[Any, None, Any]:
        """In an event loop: ``await result``, without a thread. Raises as `get` does. Cancelling it leaves the task alone."""
        return self.get_async().__await__()

    async def get_async(self, timeout: float | None = None) -> Any:
        """`get` for an event loop: waits there without a thread. Raises as `get` does. Cancelling it leaves the task alone."""
        deadline = loops.current().deadline(timeout)
        if not await self._done_async(deadline):
            raise TimeoutError
        try:
            return self._get()
        finally:
            del self

    async def _done_async(self, deadline: float | None) -> bool:
        self._engine.help(self.ready, 0, self._park)  # (raises in a forked child)
        return await awaited.done(self, deadline)

    def _get(self) -> Any:
        self._read()
        if self._success:
            return self._value
        try:
            raise self._value
        finally:
            del self

    def _read(self) -> None:
        """Unpack what has come, in the caller's thread, once."""
        if self._is_packed() and self.ready():
            with self._reading or self._condition:
                if self._is_packed():
                    self._success = self._unpack(self._success is not False)
                    self._forget()

    def _is_packed(self) -> bool:
        raise NotImplementedError

    def _unpack(self, success: bool) -> bool:
        """Set the value; whether it is one, and no error."""
        raise NotImplementedError

    def _forget(self) -> None:
        """It is unpacked, and its success is known."""
        raise NotImplementedError

    def _tell(self, success: bool) -> None:
        """It has ended. Those who have a callback are told after it."""
        if self._calls is not None:
            callers.call(self._call_back, success)
            return
        self._settle(success)

    def _settle(self, success: bool) -> None:
        with _making:  # (who makes the condition afterwards sees that it has ended)
            condition = self._made
            if condition is None:
                self._calls, self._success = None, success
                return
        with condition:
            self._calls, self._success = None, success
            for waiter in self._waiters:
                (waiter.add_result if success else waiter.add_exception)(self)
            condition.notify_all()
            calls, self._done_callbacks = self._done_callbacks, []
        for call in calls:
            callers.call(call, self)

    def _call_back(self, success: bool) -> None:
        try:
            with self._reading or self._condition:
                if self._is_packed():
                    success = self._unpack(success)
                    self._forget()
            call = (self._calls or (None, None))[0 if success else 1]
            if call is not None:
                call(self._value)
        finally:
            self._settle(success)  # (only now it is ready)
            self._engine.nudge()


class AsyncResult(_Result, Task):
    """The result of `Pool.apply_async`."""

    __slots__ = (*_SLOTS, "_kind", "lane")

    _kind: int | None
    lane: Any

    def _start(self, engine: Engine, callback: Callback | None, error_callback: Callback | None) -> None:
        self._begin(engine, callback, error_callback)
        self._kind = self.lane = None

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        self._value = payload
        self._kind = kind
        self._done(kind == Kind.VALUE)

    def fail(self, error: BaseException) -> None:
        self._value = error
        self._kind = None
        self._done(False)

    def _done(self, success: bool) -> None:
        self.job = self.function = None
        self._tell(success)

    def _is_packed(self) -> bool:
        return self._kind is not None

    def _unpack(self, success: bool) -> bool:
        kind, value = self._kind, self._value
        try:
            if type(value) is _native.Message:
                value = value.load()
            self._value = value if kind == Kind.VALUE else error_of(kind or 0, value)
            return kind == Kind.VALUE
        except BaseException as error:
            self._value = error
            return False

    def _forget(self) -> None:
        self._kind = None


class MapResult(_Result):
    """The result of `Pool.map_async` and its kin: a list."""

    __slots__ = (*_SLOTS, "_stream", "_told")

    def __init__(self, stream: Stream, engine: Engine, callback: Callback | None, error_callback: Callback | None) -> None:
        self._begin(engine, callback, error_callback)
        self._reading = threading.Lock()  # (the stream's lock is held when it tells of its end, and wanted by who unpacks)
        self._stream: Stream | None = stream
        self._told = False
        stream.when_ended = self._ended

    def ready(self) -> bool:
        stream = self._stream
        return self._success is not None or (self._calls is None and stream is not None and stream.all_ended())

    def wait(self, timeout: float | None = None) -> None:
        stream = self._stream
        if self._calls is None and stream is not None:
            stream.wait_all(timeout)
        if not self.ready():
            super().wait(timeout)

    async def _done_async(self, deadline: float | None) -> bool:
        stream = self._stream
        if stream is not None and not await stream.wait_all_async(deadline):
            return False
        return await super()._done_async(deadline)

    def _ended(self) -> None:
        """The stream is complete. In any thread, once."""
        if not self._told:
            self._told = True
            self._tell(True)

    def _is_packed(self) -> bool:
        return self._stream is not None

    def _unpack(self, success: bool) -> bool:
        stream = self._stream
        assert stream is not None
        found: list[Any] = []
        failure: BaseException | None = None
        for piece in stream.take_all():
            if piece is None:
                failure = failure or verdicts.ended_early()
                continue
            if piece.plain():
                found.append(piece.payload)
                continue
            values = piece.values()
            if isinstance(values, Failure):
                failure = failure or values.error
            else:
                found += values
        stream.close()
        self._value = found if failure is None else failure
        return failure is None

    def _forget(self) -> None:
        self._stream = None


class IMapIterator(Iterator[Any], AsyncIterator[Any]):
    """The result of `Pool.imap` and `imap_unordered`. A failure is raised in place of its result, and the iteration may go on
    behind it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._values: deque[Any] = deque()

    def __iter__(self) -> Iterator[Any]:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result; raises `multiprocessing.TimeoutError` if it has not come in `timeout` seconds, StopIteration at
        the end."""
        values = self._values
        if not values:
            self._stream.take_plain(values)
        while not values:
            try:
                piece = self._stream.next_piece(timeout)
            except builtins.TimeoutError:
                raise TimeoutError from None
            if piece is None:
                raise StopIteration
            if piece.plain():
                return piece.payload
            found = piece.values()
            if isinstance(found, Failure):
                try:
                    raise found.error
                finally:
                    del self, piece, found  # (no circle with the traceback)
            values.extend(found)
        return values.popleft()

    __next__ = next

    # --- in an event loop ---

    def __aiter__(self) -> AsyncIterator[Any]:
        """In an event loop: ``async for result in iterator:``, without a thread; otherwise as with ``for``."""
        return self

    async def next_async(self, timeout: float | None = None) -> Any:
        """`next` for an event loop: waits there without a thread; StopAsyncIteration at the end. Cancelled, it has taken
        nothing."""
        loop = loops.current()
        deadline = loop.deadline(timeout)
        await loop.checkpoint()
        while not self._values:
            try:
                piece = await self._stream.next_piece_async(deadline)
            except builtins.TimeoutError:
                raise TimeoutError from None
            if piece is None:
                raise StopAsyncIteration
            found = piece.values()
            if isinstance(found, Failure):
                try:
                    raise found.error
                finally:
                    del self, piece, found  # (no circle with the traceback)
            self._values.extend(found)
        return self._values.popleft()

    async def __anext__(self) -> Any:
        return await self.next_async()

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None:
            dropping.drop_stream(stream)
