"""The running event loop, whichever library's it is: asyncio's (uvloop's, too) or trio's; anyio is one of these underneath.

Everything awaitable in the package goes through here, and nothing else imports asyncio or trio in order to wait.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, NewType
from weakref import ref

from procession.core import forkhooks
from procession.core.lookout import Lookout
from procession.core.seconds import timeout_of

__all__ = ["Cancellation", "Loop", "Note", "closing", "current"]

#: What came to a task while it was shielded; only for `Loop.be_cancelled`.
Cancellation = NewType("Cancellation", object)


class Note(ABC):
    """What one task sleeps on, and others of the same loop set. It is set once."""

    __slots__ = ()

    @abstractmethod
    def set(self) -> None:
        """Wake who waits, now or later. In the loop's thread (from others: ``loop.from_thread(note.set)``). Does not block."""

    @abstractmethod
    def is_set(self) -> bool:
        """Whether it was set. Does not block."""

    @abstractmethod
    async def wait(self, deadline: float | None = None) -> bool:
        """Sleep until it is set; False: `deadline`, by the loop's clock, came before. Can be cancelled, also when it was set
        just then: look at `is_set`. In trio a checkpoint in any case."""


class Loop(ABC):
    """One running event loop: the same object for as long as it runs; may be a key. But for `from_thread`, all is for its own
    thread. A forked child's copy does nothing."""

    _lookout: Lookout

    def __init__(self) -> None:
        #: What else there is for this loop, by whatever names it: gone with it. (A table of all loops would keep those in which
        #: somebody waits.)
        self.kept: dict[object, Any] = {}

    @abstractmethod
    def time(self) -> float:
        """Seconds, by the loop's own clock."""

    @abstractmethod
    def note(self) -> Note:
        """A new note, not set."""

    @abstractmethod
    def from_thread(self, call: Callable[..., object], *args: Any) -> None:
        """Have ``call(*args)`` called in the loop, soon; from any thread. Does nothing if the loop is over. Does not block."""

    @abstractmethod
    def soon(self, call: Callable[[], object]) -> None:
        """Have ``call()`` called, in the loop if it goes on, at the end of this turn at the latest. For tidying up."""

    @abstractmethod
    async def checkpoint(self) -> None:
        """What trio's users expect of each async function: others have a turn, and a cancellation comes out here. In asyncio:
        nothing."""

    @abstractmethod
    async def shielded(
        self, function: Callable[..., Awaitable[object]], *args: Any, insist: bool = False
    ) -> Cancellation | None:
        """Await ``function(*args)`` to its end although we are cancelled meanwhile; then what came is the result, for
        `be_cancelled`. Raises what it raises.

        In asyncio it runs as another task, and who cancels all tasks, as `asyncio.run` does at its end, cancels that one, too.
        Then, if we `insist`, it is called again; else the cancellation comes out.
        """

    @abstractmethod
    async def be_cancelled(self, cancellation: Cancellation) -> None:
        """Raise it now."""

    @abstractmethod
    def task(self) -> object | None:
        """What stands for the running task, and can be weakly referred to; None: no task runs (a callback, say)."""

    def deadline(self, timeout: float | None) -> float | None:
        """So many seconds from now on, by its clock. Raises TypeError and ValueError as waits in place do."""
        seconds = timeout_of(timeout)
        return None if seconds is None else self.time() + seconds

    # --- descriptors ---

    async def usable(
        self, fd: int, write: bool = False, deadline: float | None = None, check: Callable[[], object] | None = None
    ) -> bool:
        """Until `fd` can be read, or written, or is at its end, or perhaps not: so try, and come again. False: `deadline`, by
        the loop's clock, came before. At once for what cannot be waited for (a regular file). Raises OSError (EBADF) for what
        is no descriptor.

        Any number of tasks may wait for the same, whether or not the user has a reader of his own for it. It must stay open
        meanwhile; who closes it says `closing` before. If that may be another thread, ``check()`` raises once it is about to
        say so, which this raises then; it is called when nothing can be missed any more.
        """
        note = self.note()
        wait = self._lookout.add(fd, write, note.set, once=True)
        if wait is None:
            await self.checkpoint()
            return True
        try:
            if check is not None:
                check()
            return await note.wait(deadline)
        finally:
            self._lookout.remove(wait)

    def watch(self, fd: int, call: Callable[[], object], write: bool = False) -> Callable[[], None]:
        """Have ``call()`` called in the loop whenever `fd` can be read (or written), as long as it can. The result ends that;
        it may be called again, and closes nothing. Raises OSError as `usable` does, and PermissionError for a regular file."""
        wait = self._lookout.add(fd, write, call, once=False)
        if wait is None:
            raise PermissionError(1, f"descriptor {fd} cannot be waited for: it is that of a regular file")
        return lambda: self._lookout.remove(wait)


#: All that there are in this process.
_loops: set[ref[Loop]] = set()


def _note_new(loop: Loop) -> None:
    _loops.add(ref(loop, _loops.discard))


def _all() -> list[Loop]:
    return [loop for each in list(_loops or ()) if (loop := each()) is not None]  # (None: the interpreter is ending)


def current() -> Loop:
    """The running event loop of this thread. Raises RuntimeError if there is none."""
    if _is_trio():
        from procession.core import loop_trio

        return loop_trio.current(_note_new)
    if "asyncio" not in sys.modules:
        raise RuntimeError("no running event loop")
    from procession.core import loop_asyncio

    return loop_asyncio.current(_note_new)


def _is_trio() -> bool:
    trio, sniffio = sys.modules.get("trio"), sys.modules.get("sniffio")
    if trio is None:
        return False
    if sniffio is None:  # (which trio imports, so far)
        return bool(trio.lowlevel.in_trio_run())
    try:
        return bool(sniffio.current_async_library() == "trio")
    except sniffio.AsyncLibraryNotFoundError:
        return False


def closing(fd: int) -> None:
    """`fd` is about to be closed: those who wait for it look again, perhaps at once, so what has it says from now on that it is
    closed. In any thread; does not block."""
    for loop in _all():
        place = loop._lookout.place_of(fd)
        if place is None:
            continue
        if loop is _here():
            loop._lookout.leave(place)
        else:
            loop.from_thread(loop._lookout.leave, place)


def _here() -> Loop | None:
    try:
        return current()
    except RuntimeError:
        return None


def _forget() -> None:
    """In a forked child: the loops, and who waits in them, are the parent's."""
    for loop in _all():
        loop._lookout.forget()
    _loops.clear()
    names: Any = getattr(sys.modules.get("sniffio"), "thread_local", None)
    if names is not None and names.name == "trio":
        names.name = None  # (it tells of the run that the parent is in)


forkhooks.after_in_child(_forget)
