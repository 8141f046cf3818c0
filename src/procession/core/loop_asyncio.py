"""asyncio's event loop, as `procession.core.loops` has it."""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Any
from weakref import ref

from procession.core.lookout import Lookout
from procession.core.loops import Cancellation, Loop, Note

__all__ = ["current"]


class _Note(Note):
    __slots__ = ("_future", "_loop", "_set")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set = False
        self._future: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._set = True
        _wake(self._future)

    def is_set(self) -> bool:
        return self._set

    async def wait(self, deadline: float | None = None) -> bool:
        if self._set:
            return True
        future = self._future = self._loop.create_future()
        timer = None if deadline is None else self._loop.call_at(deadline, _wake, future)
        try:
            await future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()
        return self._set


def _anyio() -> Any:
    """That library, if it has been at work in asyncio. It cancels a task anew in each turn of the loop, so whoever is shielded
    from asyncio's way only would never sleep."""
    return sys.modules.get("anyio") if "anyio._backends._asyncio" in sys.modules else None


def _is_cancelled_by(anyio: Any) -> bool:
    return bool(anyio.current_effective_deadline() == -float("inf"))


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


class _Asyncio(Loop):
    """The loop has it, and it does not keep the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._ref = ref(loop)
        self._lookout = Lookout(self._begin, self._end, self._rest)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = self._ref()
        if loop is None:
            raise RuntimeError("the event loop is gone")
        return loop

    def time(self) -> float:
        return self._loop.time()

    def note(self) -> Note:
        return _Note(self._loop)

    def from_thread(self, call: Callable[..., object], *args: Any) -> None:
        loop = self._ref()
        if loop is not None:
            with suppress(RuntimeError):  # (it is closed)
                loop.call_soon_threadsafe(call, *args)

    def soon(self, call: Callable[[], object]) -> None:
        loop = self._ref()
        if loop is not None and loop.is_running():
            loop.call_soon(call)
        else:
            call()

    async def checkpoint(self) -> None:
        pass

    async def shielded(
        self, function: Callable[..., Awaitable[object]], *args: Any, insist: bool = False
    ) -> Cancellation | None:
        anyio = _anyio()
        with ExitStack() as shield:
            if anyio is not None:
                shield.enter_context(anyio.CancelScope(shield=True))
            try:
                came = await self._to_its_end(function, args, insist)
            except GeneratorExit:  # (the task is no more, and anyio would ask which one runs)
                shield.pop_all()
                raise
        if came is not None:
            return Cancellation(came)
        return Cancellation(anyio) if anyio is not None and _is_cancelled_by(anyio) else None

    async def _to_its_end(
        self, function: Callable[..., Awaitable[object]], args: Any, insist: bool
    ) -> asyncio.CancelledError | None:
        came: asyncio.CancelledError | None = None
        while True:
            task = asyncio.ensure_future(function(*args))
            try:
                while not task.done():
                    try:
                        await asyncio.wait([task])
                    except asyncio.CancelledError as error:
                        came = error
                if insist and task.cancelled():
                    continue
                task.result()
                return came
            except GeneratorExit:  # (we are thrown away; what it did would be for nobody)
                with suppress(RuntimeError):  # (the loop, too)
                    task.cancel()
                raise
            finally:
                del task  # (no circle with the traceback)

    async def be_cancelled(self, cancellation: Cancellation) -> None:
        try:
            if isinstance(cancellation, asyncio.CancelledError):
                raise cancellation
            await _anyio().lowlevel.checkpoint_if_cancelled()
        finally:
            del cancellation

    def task(self) -> object | None:
        return asyncio.current_task(self._loop)

    # --- the lookout's descriptor ---

    def _begin(self, epoll: select.epoll) -> None:
        self._loop.add_reader(epoll.fileno(), self._lookout.look)

    def _end(self, epoll: select.epoll) -> None:
        loop = self._ref()
        if loop is not None and not loop.is_closed():
            loop.remove_reader(epoll.fileno())

    def _rest(self) -> None:
        """Who waited may wait for the next before this turn of the loop is over."""
        self.soon(self._lookout.shut_if_idle)


#: Where a loop has ours. Not in a table of our own: who waits has the loop, so it would never be empty.
_NAME = "_procession_loop"


def current(made: Callable[[Loop], None]) -> Loop:
    """The running one; `made` is told of a new one. Raises RuntimeError if none runs."""
    loop = asyncio.get_running_loop()
    found: _Asyncio | None = getattr(loop, _NAME, None)
    if found is None or found._lookout.forgotten:
        found = _Asyncio(loop)
        setattr(loop, _NAME, found)
        made(found)
    return found
