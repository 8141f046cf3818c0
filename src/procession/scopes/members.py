"""What may be over with a scope beside its children: tasks of a pool, processes that were started elsewhere, and anything that
keeps the protocol of `Adoptable`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from procession.core import callers
from procession.errors import ProcessDied, ProcessStateError
from procession.process import callbacks
from procession.process.process import Process
from procession.process.watch import tells_late
from procession.scopes import verdicts

if TYPE_CHECKING:
    from concurrent.futures import Future

    from procession.scopes.core import Core

__all__ = ["Adoptable", "AdoptedProcess", "AdoptedQueue", "AdoptedThing", "Task", "adopted"]


class Adoptable(Protocol):
    """What `adopt` takes."""

    def close(self) -> object:
        """The block was left: take on nothing more, and be over when all that was taken on is done. Does not block."""

    def cancel(self) -> object:
        """The scope is being ended: be over soon. Does not block; may be called again, also after `close`."""

    def add_done_callback(self, function: Callable[[Any], object], /) -> object:
        """Call ``function(self)`` once it is over, from any thread; at once if it is."""


class Task:
    """A task of a pool, by its future."""

    told = asked = False

    def __init__(self, core: Core, future: Future[Any], name: str, shield: bool) -> None:
        self._core = core
        self._future: Future[Any] | None = future
        self.name = name
        self.shield = shield

    def watch(self) -> None:
        """Tell the core of its end."""
        future = self._future
        assert future is not None
        if tells_late(future):
            future.add_done_callback(self._cancelled)
        with future._condition:
            if not future.done():
                future._waiters.append(self)  # type: ignore[arg-type]
                return
        self._over(not future.cancelled() and future.exception() is not None)

    def _cancelled(self, future: Future[Any]) -> None:
        """It may have been: then its waiters are told later, or never."""
        if future.cancelled():
            self._over(False)

    def end(self) -> None:
        future = self._future
        if future is not None:
            future.cancel()

    kill = end

    def exception(self, timeout: float) -> BaseException | None:
        """Asked once, when it has failed."""
        future, self._future = self._future, None
        try:
            return future.exception(timeout) if future is not None else None
        except CancelledError:
            return None

    # --- the future's waiter: called under its condition, perhaps under its pool's lock ---

    def add_result(self, future: Any) -> None:
        self._over(False)

    add_cancelled = add_result

    def add_exception(self, future: Any) -> None:
        self._over(True)

    def _over(self, failed: bool) -> None:
        core = self._core
        if not failed:
            self._future = None  # (which has us in its list: no circle is left)
        elif core.fail(self):
            callers.call(core.end_all)  # (not here: it takes locks of pools)
        core.gone(self)


class AdoptedProcess:
    """A process that somebody else has started."""

    told = asked = False

    def __init__(self, core: Core, process: Process, shield: bool, grace: float) -> None:
        self._core = core
        self._process = process
        self._grace = grace
        self._code: int | None = None
        self.name = process.name
        self.shield = shield

    def watch(self) -> None:
        callbacks.add(self._process, self._over, quick=True)

    def end(self) -> None:
        if self._process._popen is not None:
            self._process._popen.child.terminate(float(self._grace))

    def kill(self) -> None:
        if self._process._popen is not None:
            self._process._popen.kill()

    def exception(self, timeout: float) -> BaseException | None:
        return ProcessDied(self.name, self._process.pid, self._code)

    def _over(self, process: Process) -> None:
        core = self._core
        self._code = None if process._popen is None else process._popen.poll()
        core.note_dead(process)
        first = self._code != 0 and not self.asked and core.fail(self)
        core.gone(self)
        if first:
            core.end_all()


class AdoptedThing:
    """Something of which we know the protocol alone."""

    told = asked = False

    def __init__(self, core: Core, thing: Adoptable, name: str, shield: bool) -> None:
        self._core = core
        self.thing = thing
        self.name = name
        self.shield = shield

    def watch(self) -> None:
        self.thing.add_done_callback(self._over)

    def close(self) -> None:
        try:
            self.thing.close()
        except Exception as error:  # (it may not be over by itself then)
            if self._core.fail(error):
                self._core.end_all()

    def end(self) -> None:
        """If it cannot be ended, nobody waits for it."""
        try:
            self.thing.cancel()
        except Exception as error:
            self._core.fail(error)
            self._core.gone(self)

    kill = end

    def _over(self, thing: Any) -> None:
        self._core.gone(self)


class AdoptedQueue:
    """A DispatchQueue: over when it is closed and its blocks have ended. (What a block raises is its future's.)"""

    told = asked = False

    def __init__(self, core: Core, queue: Any, shield: bool) -> None:
        self._core = core
        self._queue = queue
        self.name = str(queue.name)
        self.shield = shield

    def watch(self) -> None:
        pass

    def close(self) -> None:
        self._queue.close()
        self._queue._when_done(self)

    def end(self) -> None:
        self._queue._end(partial(verdicts.ended, self._core))
        self._core.gone(self)

    kill = end

    def set(self) -> None:
        """Its last block has ended. (Called under its pool's lock.)"""
        self._core.gone(self)


def adopted(core: Core, thing: Any, name: str | None, shield: bool, grace: float) -> Any:
    """The member for it. Raises TypeError for what is none of these, ProcessStateError for a process that does not run,
    RuntimeError for a queue that is not for us to close."""
    if isinstance(thing, Process):
        if thing._popen is None:
            raise ProcessStateError(f"can only adopt a started process: {thing!r}")
        return AdoptedProcess(core, thing, shield, grace)
    if hasattr(thing, "_condition") and hasattr(thing, "_waiters"):
        return Task(core, thing, name or "a task", shield)
    if hasattr(thing, "barrier_async"):
        thing._check_adoptable()
        return AdoptedQueue(core, thing, shield)
    missing = [method for method in ("close", "cancel", "add_done_callback") if not callable(getattr(thing, method, None))]
    if missing:
        raise TypeError(
            f"cannot adopt {thing!r}: expected a started process, a future, a dispatch queue, or an object with close(), "
            f"cancel() and add_done_callback(); it has no {', '.join(missing)}"
        )
    return AdoptedThing(core, thing, name or getattr(thing, "name", None) or type(thing).__name__, shield)
