"""Who runs a scope's block: a thread, a task of asyncio, a task of trio. Each learns in its own way that the scope is being
ended, and waits in its own way until it is over."""

from __future__ import annotations

import _thread
import importlib
import sys
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from procession.core import loops

if TYPE_CHECKING:
    from procession.scopes.core import Core

__all__ = ["Host", "TaskHost", "ThreadHost", "host_of_task"]


class Host(ABC):
    """Of one scope, from its opening on. `tell` may be called by any thread."""

    where: object  #: the task, or None outside of event loops
    thread: int

    def begin(self) -> None:
        """Its block begins. No signal's handler runs meanwhile."""
        return

    def retract(self) -> None:
        """Its block does not begin after all, whether or not we have begun."""
        return

    @abstractmethod
    def tell(self, core: Core) -> None:
        """`core` is being ended, or is over. Does not block."""

    def is_here(self) -> bool:
        """Whether the caller is it."""
        return self.thread == threading.get_ident() and (self.where is None or self.where is task_here())

    def holds(self, inner: Host) -> bool:
        """Whether a block that `inner` begins now is within our block: the same task's, or, when we are none, the same
        thread's."""
        return self.thread == inner.thread and (self.where is None or self.where is inner.where)

    def is_told_by(self, outer: Core | None) -> bool:
        """Whether our block is told by an outer scope itself when that is ended: we are the same task."""
        return False


def task_here() -> object:
    """The running task; None if there is none."""
    if "asyncio" not in sys.modules and "trio" not in sys.modules:
        return None
    try:
        return loops.current().task()
    except RuntimeError:
        return None


class ThreadHost(Host):
    """The block of a ``with``: it is not interrupted, and learns by what it asks of the scope."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.where = task_here()
        self._over = _thread.allocate_lock()
        self._over.acquire()

    def tell(self, core: Core) -> None:
        if core.closed:
            try:
                self._over.release()
            except RuntimeError:
                pass  # (it was told)

    def wait(self, core: Core) -> None:
        """Sleep until the scope is over. A signal's handler may raise here; then it can be called again."""
        while not core.closed:
            self._over.acquire()


class TaskHost(Host):
    """The block of an ``async with``: its task is cancelled when the scope is being ended."""

    def __init__(self) -> None:
        self.loop = loops.current()
        self.thread = threading.get_ident()
        self.where = self.loop.task()
        self.over = self.loop.note()
        self.left = False  # the block
        self.cancelled = False  # by us

    def tell(self, core: Core) -> None:
        self.loop.from_thread(self._told, core)

    def _told(self, core: Core) -> None:
        """In the loop."""
        if core.closed:
            self.over.set()
        elif core.why is not None and not (self.left or self.cancelled or core.shields() or self.is_told_by(core.outer)):
            self.cancelled = True
            self._cancel()

    def is_told_by(self, outer: Core | None) -> bool:
        host = outer.host if outer is not None and outer.why is not None else None
        return isinstance(host, TaskHost) and host.where is self.where

    def _cancel(self) -> None:
        raise NotImplementedError

    def leave(self, error: BaseException | None) -> BaseException | None:
        """The block was left with that error; what of it is not our own cancellation."""
        raise NotImplementedError

    def retract(self) -> None:
        self.leave(None)

    async def wait(self) -> None:
        """Until the scope is over. Can be cancelled, where its block could be."""
        await self.over.wait()

    def cancel_again(self) -> None:
        """Our task was cancelled from outside, and something else is raised: its next await is to learn of it."""


class _AsyncioHost(TaskHost):
    where: Any

    def _cancel(self) -> None:
        self.where.cancel()

    def leave(self, error: BaseException | None) -> BaseException | None:
        left, self.left = self.left, True
        if left or not self.cancelled or self.where.uncancel() > 0:
            return error
        return None if is_cancellation(error) else error

    def cancel_again(self) -> None:
        """(Not at once: who cancelled may take it back first, as `asyncio.timeout` around us does, and what came at once would
        be taken back since Python 3.13 only.)"""
        self.loop.soon(self._cancel_again)

    def _cancel_again(self) -> None:
        if self.where.cancelling() and not self.where.done():
            self.where.uncancel()
            self.where.cancel()


class _TrioHost(TaskHost):
    def __init__(self, shield: bool) -> None:
        super().__init__()
        self._shield = shield
        self._scope: Any = None  # from the beginning of the block on

    def begin(self) -> None:
        self._scope = self._new_scope()
        self._scope.__enter__()

    def _new_scope(self) -> Any:
        return importlib.import_module("trio").CancelScope(shield=self._shield)

    def _cancel(self) -> None:
        self._scope.cancel()

    def leave(self, error: BaseException | None) -> BaseException | None:
        if self.left or self._scope is None:
            return error
        self.left = True
        try:
            kind = None if error is None else type(error)
            caught = self._scope.__exit__(kind, error, getattr(error, "__traceback__", None))
        except BaseException as rest:  # (of a group in which there was our cancellation)
            return rest
        return None if caught else error

    async def wait(self) -> None:
        with self._new_scope():
            await self.over.wait()


def host_of_task(shield: bool) -> TaskHost:
    """That of the running task. Raises RuntimeError if there is none."""
    if loops.current().task() is None:
        raise RuntimeError("an async scope must be opened by a task")
    return _TrioHost(shield) if loops._is_trio() else _AsyncioHost()


def is_cancellation(error: BaseException | None) -> bool:
    """Whether it is an event loop's cancellation, of whichever."""
    kinds = []
    if "asyncio" in sys.modules:
        kinds.append(sys.modules["asyncio"].CancelledError)
    if "trio" in sys.modules:
        kinds.append(sys.modules["trio"].Cancelled)
    return isinstance(error, tuple(kinds))
