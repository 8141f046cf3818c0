"""trio's event loop, as `procession.core.loops` has it. Imported by who is in one: trio is there."""

from __future__ import annotations

import importlib
import select
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from procession.core import forkhooks
from procession.core.lookout import Lookout
from procession.core.loops import Cancellation, Loop, Note

__all__ = ["current"]

trio: Any = importlib.import_module("trio")


class _Note(Note):
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return bool(self._event.is_set())

    async def wait(self, deadline: float | None = None) -> bool:
        if deadline is None:
            await self._event.wait()
            return True
        with trio.move_on_at(deadline):
            await self._event.wait()
        return bool(self._event.is_set())


class _Trio(Loop):
    """One call of `trio.run`."""

    def __init__(self) -> None:
        super().__init__()
        self._token = trio.lowlevel.current_trio_token()
        self._lookout = Lookout(self._begin, self._end, _nothing)

    def time(self) -> float:
        return float(trio.current_time())

    def note(self) -> Note:
        return _Note()

    def from_thread(self, call: Callable[..., object], *args: Any) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(_guarded, call, *args)

    def soon(self, call: Callable[[], object]) -> None:
        call()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def shielded(
        self, function: Callable[..., Awaitable[object]], *args: Any, insist: bool = False
    ) -> Cancellation | None:
        with trio.CancelScope(shield=True):
            await function(*args)
        return Cancellation(_CANCELLED) if trio.current_effective_deadline() == -float("inf") else None

    async def be_cancelled(self, cancellation: Cancellation) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    def task(self) -> object | None:
        try:
            found: object = trio.lowlevel.current_task()
        except RuntimeError:
            return None
        return found

    # --- the lookout's descriptor ---

    def _begin(self, epoll: select.epoll) -> None:
        trio.lowlevel.spawn_system_task(self._serve, epoll, name="procession")

    def _end(self, epoll: select.epoll) -> None:
        with suppress(RuntimeError):  # (the run is over)
            trio.lowlevel.notify_closing(epoll)

    async def _serve(self, epoll: select.epoll) -> None:
        """Until the end of the run: a task for each wait would be dearer than one that sleeps."""
        try:
            while self._lookout.serves(epoll):
                await trio.lowlevel.wait_readable(epoll)
                _guarded(self._lookout.look)
        except trio.ClosedResourceError:
            pass
        finally:
            if self._lookout.serves(epoll):
                self._lookout.shut()


_CANCELLED = object()


def _guarded(call: Callable[..., object], *args: Any) -> None:
    """What it raises is reported: trio would end the run."""
    try:
        call(*args)
    except Exception:
        sys.excepthook(*sys.exc_info())


def _nothing() -> None:
    """(The descriptor stays until the end of the run.)"""


_current: Any = trio.lowlevel.RunVar("procession")


def _forget() -> None:
    """In a forked child: the run is the parent's."""
    with suppress(RuntimeError):
        _current.set(None)


forkhooks.after_in_child(_forget)


def current(made: Callable[[Loop], None]) -> Loop:
    """That of the running `trio.run`; `made` is told of a new one."""
    found: _Trio | None = _current.get(None)
    if found is None:
        found = _Trio()
        _current.set(found)
        made(found)
    return found
