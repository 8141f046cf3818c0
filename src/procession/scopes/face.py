"""What a scope and a supervisor have in common: they are entered and left, asked about, and ended."""

from __future__ import annotations

import warnings
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from procession import _native
from procession.errors import ProcessStateError
from procession.scopes import verdicts
from procession.scopes.core import Core
from procession.scopes.hosts import Host, TaskHost, ThreadHost, host_of_task, is_cancellation
from procession.scopes.why import Why

__all__ = ["Face"]

class _Leaving:
    """A `__exit__` that takes place whatever a signal's handler raises: also before the first step of a function in Python."""

    def __get__(self, face: Face | None, kind: type[Face]) -> Any:
        return _leave if face is None else partial(_native.insist, face._leave)


def _leave(face: Face, *error: Any) -> Any:
    """(For those who take `__exit__` from the class, as `contextlib.ExitStack`.)"""
    return _native.insist(face._leave, *error)


class Face:
    """For `Scope` and `Supervisor` to derive from."""

    _core: Core

    # --- as a block ---

    def __enter__(self) -> Self:
        self._open(ThreadHost())
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
        ) -> bool: ...

    else:
        __exit__ = _Leaving()

    async def __aenter__(self) -> Self:
        self._open(host_of_task(self._core.shield))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        core, host = self._core, self._core.host
        if not isinstance(host, TaskHost):
            raise ProcessStateError(f"{core.name} is not open here")
        self._check_host()
        rest = host.leave(error)
        block = None if is_cancellation(rest) else rest
        cancellation = rest if block is None else None
        try:
            cancellation = await self._leave_async(host, block, cancellation)
            raised = verdicts.verdict(core, block)
            if raised is None:
                raised = cancellation
            elif cancellation is not None:
                host.cancel_again()
            if raised is None or raised is error:
                return raised is None
            raise raised
        finally:
            core.close()
            raised = None
            del rest, block, cancellation, error, self  # (no circle with the traceback)

    def _open(self, host: Host) -> None:
        core = self._core
        core.check_process()
        if core.host is not None:
            raise ProcessStateError(f"{core.name} was opened before: make another one")
        core.open(host)

    # --- leaving ---

    def _leave(
        self, interrupts: list[BaseException], kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> Any:  # fmt: skip
        """True: what the block raised goes no further; an exception: it is raised. It is called again when a signal's handler
        has raised in it."""
        core = self._core
        if core.host is None or not isinstance(core.host, ThreadHost):
            return ProcessStateError(f"{core.name} is not open here")
        try:
            self._check_host()
        except ProcessStateError as wrong:
            return wrong if error is None else False
        core.interrupted(len(interrupts))
        core.leave(error)
        self._closing()
        core.host.wait(core)
        self._tidy(hurried=bool(interrupts))
        if interrupts:
            core.close()
            return interrupts[0]
        raised = verdicts.verdict(core, error)
        core.close()
        return raised if raised is not None and raised is not error else raised is None

    async def _leave_async(
        self, host: TaskHost, error: BaseException | None, cancellation: BaseException | None
    ) -> BaseException | None:
        """Wait until all are over; what cancelled us, before or meanwhile."""
        core = self._core
        core.leave(error if error is not None else cancellation)
        self._closing()
        try:
            if core.closed:
                await host.loop.checkpoint()
            else:
                await host.wait()
            await self._tidy_async()
            return cancellation
        except BaseException as came:
            core.end(Why.CANCELLED)
            if not is_cancellation(came):
                core.interrupted(1)
            await host.loop.shielded(self._see_it_over, host)
            if not is_cancellation(came):
                raise
            return came
        finally:
            del error, cancellation

    async def _see_it_over(self, host: TaskHost) -> None:
        if not self._core.closed:
            await host.over.wait()
        await self._tidy_async()

    def _closing(self) -> None:
        """The block was left."""

    def _tidy(self, hurried: bool) -> None:
        """All in it are over: end what they have left. `hurried`: and wait for nothing of the user's."""
        self._core.sweep()

    async def _tidy_async(self) -> None:
        self._core.sweep()

    def _check_host(self) -> None:
        core = self._core
        core.check_process()
        if core.host is not None and not core.host.is_here():
            raise ProcessStateError(f"{core.name} was opened by another thread or task, and is to be left there")

    # --- from within, and from other threads ---

    def cancel(self) -> None:
        """End all that is in it, by SIGTERM and, after the grace, SIGKILL; leaving the block raises nothing then. Does not
        block: leaving waits. May be called by any thread, and again."""
        self._core.check_process()
        self._core.end(Why.CANCELLED)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._core.name

    @property
    def failing(self) -> bool:
        """Whether it is being ended, or was, because something failed or its time was over. Does not block."""
        return self._core.why in (Why.FAILED, Why.BODY, Why.TIMEOUT)

    @property
    def cancelled(self) -> bool:
        """Whether it is being ended, or was, by `cancel` or with an outer scope. Does not block."""
        return self._core.why in (Why.CANCELLED, Why.OUTER)

    @property
    def over(self) -> bool:
        """Whether its block was left and nothing of it is left. Does not block."""
        return self._core.closed

    # --- for procession.wait: done when it is being ended, or over ---

    def _watch(self, channel: int) -> int:
        wait: int = self._core.watched()._watch(channel)
        return wait

    def _is_ready(self, wait: int) -> bool:
        return bool(self._core.watched()._is_ready(wait))

    def _unwatch(self, wait: int, *reported: bool) -> None:
        self._core.watched()._unwatch(wait, *reported)

    def __reduce__(self) -> Any:
        raise TypeError(f"{self._core.name} cannot be sent to another process")

    def __repr__(self) -> str:
        core = self._core
        state = "over" if core.closed else core.why.value if core.why else "open" if core.host else "not open yet"
        return f"<{type(self).__name__} {core.name!r}: {state}, {len(core.others())} in it>"

    def __del__(self) -> None:
        """It was never left, as when a generator that is in its block goes."""
        core: Core | None = self.__dict__.get("_core")
        if core is None or core.host is None or core.closed or not core.is_ours():
            return
        warnings.warn(f"{core.name} was opened, and never left; what is in it is ended", ResourceWarning, stacklevel=2)
        core.drop()
