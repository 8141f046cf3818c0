"""Futures: what `submit` returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, _base
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core import callers
from procession.pool import verdicts
from procession.pool.awaiting import Awaiting
from procession.pool.messages import Kind
from procession.pool.task import Task

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Future"]

_PENDING, _RUNNING = _base.PENDING, _base.RUNNING
_CANCELLED, _NOTIFIED, _FINISHED = _base.CANCELLED, _base.CANCELLED_AND_NOTIFIED, _base.FINISHED
_OPEN = (_PENDING, _RUNNING)

_making = threading.Lock()


class Future(Task, Awaiting, _base.Future):  # type: ignore[type-arg]
    """A true `concurrent.futures.Future` of a task in a pool of processes; `wait`, `as_completed`, `asyncio.wrap_future` take
    it.

    What is new: `cancel` stops a running task, too; and `result` unpickles in the caller, so that what cannot be unpickled is
    this task's error. Callbacks run in a thread of ours, one at a time, and in the order in which their tasks ended; one that
    hangs holds up no other. Threads may share it. A copy of it in a forked child never ends.
    """

    __slots__ = ("_done_callbacks", "_engine", "_error", "_kind", "_made", "_state", "_value", "_waiters", "lane")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.lane = None
        self._state = _PENDING
        self._made: Any = None
        self._kind: Any = None
        self._value: Any = None
        self._error: BaseException | None = None

    @property
    def _condition(self) -> Any:  # type: ignore[override]
        """Made when somebody needs it, with what belongs to it: most futures are never waited for by two threads at once."""
        if self._made is None:
            with _making:
                if self._made is None:
                    self._waiters: list[Any] = []
                    self._done_callbacks: list[Callable[[Any], object]] = []
                    self._made = threading.Condition()
        return self._made

    def __getattr__(self, name: str) -> Any:
        if name not in ("_waiters", "_done_callbacks"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        _ = self._condition
        return object.__getattribute__(self, name)

    # --- what it is now ---

    def done(self) -> bool:
        """Whether it has ended, in whatever way. Does not block."""
        return self._state not in _OPEN

    def running(self) -> bool:
        """Whether it was handed to the workers and has not ended. Does not block."""
        return self._state == _RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled. Does not block."""
        return self._state == _NOTIFIED

    # --- waiting ---

    def result(self, timeout: float | None = None) -> Any:
        """What the task returned; waits for it, up to `timeout` seconds. Raises what it raised (with its traceback in the
        worker as the cause), CancelledError, WorkerDied, TaskTimeout; TimeoutError when it has not ended in time."""
        if self._state in _OPEN:
            self._wait(timeout)
        error = self._read()
        try:
            if error is not None:
                raise error
            return self._value
        finally:
            self = error = None  # type: ignore[assignment]  # (no circle with the traceback)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the task raised, None if nothing; waits for it, up to `timeout` seconds. Raises CancelledError; TimeoutError."""
        if self._state in _OPEN:
            self._wait(timeout)
        return self._read()

    def _wait(self, timeout: float | None) -> None:
        if not self._engine.help(self.done, timeout, self._park):
            raise TimeoutError

    def _park(self, timeout: float | None) -> None:
        with self._condition:
            if self._state in _OPEN:
                self._condition.wait(timeout)

    def _read(self) -> BaseException | None:
        """Look at what has come. In the caller's thread: this runs the user's code."""
        if self._state in (_CANCELLED, _NOTIFIED):
            raise CancelledError
        kind = self._kind
        if kind is not None:
            with self._condition:
                if self._kind is not None:
                    self._unpack(self._kind)
                    self._kind = None
        return self._error

    def _unpack(self, kind: int) -> None:
        value, self._value = self._value, None
        try:
            if type(value) is _native.Message:
                value = value.load()
            if kind == Kind.VALUE:
                self._value = value
            else:
                self._error = verdicts.loaded(value[:3])
        except BaseException as error:
            self._error = error

    @property
    def _result(self) -> Any:
        self._peek()
        return self._value

    @_result.setter
    def _result(self, value: Any) -> None:
        self._value = value

    @property
    def _exception(self) -> BaseException | None:
        self._peek()
        return self._error

    @_exception.setter
    def _exception(self, error: BaseException | None) -> None:
        self._error = error

    def _peek(self) -> None:
        if self._kind is not None:
            self._read()

    def _check_here(self) -> None:
        self._engine.help(self.done, 0, self._park)  # (raises in a forked child)

    # --- ending ---

    def cancel(self) -> bool:
        """End it as cancelled. A task that waits is never run; one that runs is stopped: TaskStopped is raised in it, then
        its worker gets SIGTERM, then SIGKILL, and another takes its place. False if it has ended already. Does not block."""
        with self._engine.lock:
            if self._state not in _OPEN:
                return bool(self._state == _NOTIFIED)
            self._tell(_NOTIFIED)
            self._engine.cancel(self)
        self._engine.nudge()
        return True

    def is_wanted(self) -> bool:
        return self._state in _OPEN

    def begin(self) -> bool:
        if self._state == _PENDING:
            self._state = _RUNNING
            return True
        if self._state == _RUNNING:
            return True  # another attempt
        self._drop()
        return False

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        if self._state in _OPEN:  # (else it was cancelled, or is told once more)
            if kind == Kind.STOPPED:
                self._error = CancelledError("the task stopped itself")
            else:
                self._value = payload
                self._kind = None if kind == Kind.VALUE and type(payload) is not _native.Message else kind
        self._finish()

    def fail(self, error: BaseException) -> None:
        if self._state not in _OPEN:
            return
        if isinstance(error, CancelledError):
            self._tell(_NOTIFIED)
            return
        self._error = error
        self._finish()

    def _finish(self) -> None:
        if self._state != _NOTIFIED:
            self._tell(_FINISHED)

    def _tell(self, state: str) -> None:
        """It has ended so: tell who waits. Who has the condition sees the end and is told of it, or neither; so while there
        is none, none can be made."""
        self._drop()
        with _making:
            condition = self._made
            if condition is None:
                self._state = state
                return
        with condition:
            self._state = state
            for waiter in self._waiters:
                (waiter.add_cancelled if self._state == _NOTIFIED else self._add_to(waiter))(self)
            condition.notify_all()
            calls, self._done_callbacks = self._done_callbacks, []
        callers.call_back(calls, self)

    def _add_to(self, waiter: Any) -> Callable[[Any], None]:
        failed = self._error is not None or self._kind not in (None, Kind.VALUE)
        add: Callable[[Any], None] = waiter.add_exception if failed else waiter.add_result
        return add

    def _drop(self) -> None:
        """What was only needed to run it."""
        self.job = self.function = None
