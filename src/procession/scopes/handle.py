"""What `start` returns: the future of a child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, _base
from typing import TYPE_CHECKING, Any, TypeVar

from procession.core import awaited, callers, loops
from procession.core.seconds import timeout_of
from procession.errors import ProcessDied, ProcessStateError, ProcessTimeout, UnpicklableError
from procession.pool import verdicts
from procession.process import callbacks
from procession.scopes import child
from procession.scopes.options import ChildOptions
from procession.scopes.quiet import Quiet
from procession.scopes.timer import Timer

if TYPE_CHECKING:
    from procession.process.process import Process
    from procession.scopes.core import Core
    from procession.scopes.outcomes import Said

__all__ = ["Call", "Handle"]

T = TypeVar("T")
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Handle(Future[T]):
    """A function that runs in a process of its own, as a `concurrent.futures.Future` that is done when the process has ended
    and was reaped.

    Its result is what the function returned (None when it ended by ``sys.exit(0)``), its exception what the function
    raised, with the remote traceback as the cause; ProcessDied when the process ended without either, ProcessTimeout, or
    CancelledError when it was ended by its scope or by `cancel`. Results are unpickled in the caller of `result`. Callbacks
    run in procession's thread for callbacks, or at once in the caller when it has ended. Threads may share it; it cannot be
    sent to another process.
    """

    def __init__(self, core: Core, number: int, call: Call, options: ChildOptions) -> None:
        if not callable(call[0]):
            raise TypeError(f"what a child does must be callable, not {type(call[0]).__name__}: {call[0]!r}")
        super().__init__()
        self._core: Core | None = core
        self._number = number
        self._call: Call | None = call
        self._options = options
        self._process: Process | None = None
        self._timer: Timer | None = None
        self._said: Said | None = None
        self._timed_out = False
        self.asked = False  # somebody wants it to end
        self.told = False
        self.alive = False  # it has a process that was not seen to end
        self.thread = threading.get_ident()  # that starts it
        self.name = options.name or getattr(call[0], "__name__", None) or type(call[0]).__name__
        self.shield = options.shield
        self.grace = core.grace if options.grace is None else options.grace

    # --- for people ---

    @property
    def process(self) -> Process:
        """Its process; of a child that was restarted, the last one. Raises ProcessStateError while there is none."""
        if self._process is None:
            raise ProcessStateError(f"{self.name} has no process yet")
        return self._process

    def cancel(self) -> bool:
        """End it: SIGTERM to its process and to what that started, SIGKILL after its grace. Does not block: it is done, and
        cancelled, when the process is gone. False if it has ended already."""
        core = self._core
        if core is None or self.done():
            return self.cancelled()
        self._check_process()
        core.cancel(self)
        return True

    def result(self, timeout: float | None = None) -> T:
        """What its function returned; waits for its end, up to `timeout` seconds. Raises as the class says; TimeoutError when
        it has not ended in time."""
        try:
            timeout = timeout_of(timeout)
            self._check_process()
            super().exception(timeout)
            self._unpack()
            return super().result(0)
        finally:
            del self  # (no circle with the traceback)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise, None if nothing; waits as that does. Raises CancelledError; TimeoutError."""
        timeout = timeout_of(timeout)
        self._check_process()
        super().exception(timeout)
        self._unpack()
        return super().exception(0)

    async def result_async(self, timeout: float | None = None, *, stop: bool = False) -> T:
        """`result` for an event loop, without a thread. With ``stop=True`` the child is ended, as `cancel` does it, when the
        await is cancelled or `timeout` seconds are over."""
        await self._ended(timeout, stop)
        try:
            return self.result(0)
        finally:
            del self  # (no circle with the traceback)

    async def exception_async(self, timeout: float | None = None, *, stop: bool = False) -> BaseException | None:
        """`exception` for an event loop; otherwise as `result_async`."""
        await self._ended(timeout, stop)
        return self.exception(0)

    async def _ended(self, timeout: float | None, stop: bool) -> None:
        self._check_process()
        try:
            if not await awaited.done(self, loops.current().deadline(timeout)):
                raise TimeoutError
        except BaseException:
            if stop:
                self.cancel()
            raise

    def _check_process(self) -> None:
        """A forked child's copy would never end."""
        core = self._core
        if core is not None and not self.done():
            core.check_process()

    def __await__(self) -> Generator[Any, None, T]:
        """In an event loop: ``await handle``, as `result_async`."""
        return self.result_async().__await__()

    def __reduce__(self) -> Any:
        raise TypeError(f"the handle of {self.name} cannot be sent to another process")

    def __repr__(self) -> str:
        state = "running" if not self.done() else "cancelled" if self.cancelled() else "ended"
        pid = "" if self._process is None or self._process._popen is None else f", pid {self._process._popen.pid}"
        return f"<{type(self).__name__} of {self.name}{pid}, {state}>"

    # --- for its scope ---

    def launch(self) -> None:
        """Start a process for it. Raises what Process.start raises, and nothing is left then."""
        core, call = self._core, self._call
        assert core is not None
        assert call is not None
        function, args, kwargs = call
        process = core.context.Process(
            target=child.run, args=(core.outcomes.queue, self._number, function, kwargs, *args), name=self.name, daemon=True
        )
        before = self._process
        with Quiet():  # (a Ctrl-C in here would leave a process that nobody knows)
            try:
                process.start()
            except UnpicklableError as error:
                raise _in_terms_of_its_call(error) from error.__cause__
            self._process, self.alive = process, True
            try:
                if self._options.timeout is not None:  # (first: who hears of its end stops it)
                    self._timer = Timer(self._options.timeout, self._expire)
                callbacks.add(process, self._over, quick=True)
            except BaseException:  # no thread or descriptor is to be had: nobody would know of its end
                self._process, self.alive = before, False
                self._stop_timer()
                process.kill()
                process.join()
                raise

    @property
    def has_process(self) -> bool:
        return self._process is not None

    def end(self) -> None:
        """Ask its process to end. Does not block; raises nothing."""
        popen = None if self._process is None else self._process._popen
        if popen is not None:
            popen.child.terminate(float(self.grace))

    def kill(self) -> None:
        """End its process at once."""
        popen = None if self._process is None else self._process._popen
        if popen is not None:
            popen.kill()

    def _expire(self) -> None:
        self._timed_out = True
        self.end()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _over(self, process: Process) -> None:
        """Its process has ended, and was reaped. In the thread of callbacks."""
        process.join(0)  # (it is no active child any more)
        self._stop_timer()
        core = self._core
        self.alive = False
        if core is not None and core.pid == os.getpid():
            core.child_over(self, process)

    def judge(self, process: Process, said: Said | None) -> bool:
        """Whether it has failed, now that its process has ended."""
        self._said = said
        if said is not None:
            return said.kind != child.VALUE
        return self._timed_out or (process.exitcode != 0 and not self.asked)

    def conclude(self, error: BaseException | None = None) -> None:
        """It is done, in the way that `judge` has seen, or with that error."""
        process, said = self._process, self._said
        code = None if process is None or process._popen is None else process._popen.poll()
        if error is None and said is None:
            error = self._verdict(process, code)
        self._core = self._call = None
        self._end_as(error, failed=error is not None or (said is not None and said.kind != child.VALUE))

    def _verdict(self, process: Process | None, code: int | None) -> BaseException | None:
        pid = None if process is None or process._popen is None else process._popen.pid
        if self._timed_out:
            return ProcessTimeout(self.name, self._options.timeout or 0.0, pid, code)
        if code == 0 and not (self.asked and process is None):
            return None
        return CancelledError() if self.asked or process is None else ProcessDied(self.name, pid, code)

    def _end_as(self, error: BaseException | None, failed: bool) -> None:
        with self._condition:
            if self.done():
                return
            if error is not None:
                self._said = None
            if isinstance(error, CancelledError):
                self._state = _base.CANCELLED_AND_NOTIFIED
            else:
                self._exception, self._state = error, _base.FINISHED
            for waiter in self._waiters:
                if self._state != _base.FINISHED:
                    waiter.add_cancelled(self)
                else:
                    (waiter.add_exception if failed else waiter.add_result)(self)
            self._condition.notify_all()
        self._invoke_callbacks()

    def _invoke_callbacks(self) -> None:
        calls: list[Any] = self._done_callbacks
        self._done_callbacks: list[Any] = []
        callers.call_back(calls, self)

    def _unpack(self) -> None:
        """Unpickle what it said. In the caller's thread: this runs the user's code."""
        with self._condition:
            said, self._said = self._said, None
            if said is None:
                return
            value = said.payload
            try:
                if hasattr(value, "load"):
                    value = value.load()
                if said.kind == child.VALUE:
                    self._result = value
                else:
                    self._exception = verdicts.loaded(value[:3])
            except BaseException as error:
                self._exception = error


def _in_terms_of_its_call(error: UnpicklableError) -> UnpicklableError:
    """The error of a start, which tells of arguments of `child.run`."""
    if not error.part.startswith("args["):
        return error
    index, given = int(error.part[5:-1]), ("queue", "number", "target", "kwargs")
    part = given[index] if index < len(given) else f"args[{index - len(given)}]"
    return UnpicklableError(error.process, part, error.reason)
