"""What goes on in a scope, as all see it: its owner, other threads, and the thread that watches the ends of processes.

    open ──▶ ending (`why`) ──▶ left ──▶ sealed ──▶ closed
      └───────────────────────────▲          left and no member there: for ever

Members are all that must be over before the block is. Sealed: there is none but the last one, the scope's own pool. The lock
guards the fields; it is never held while a member, a future or anything of a user's is called.
"""

from __future__ import annotations

import _thread
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from procession import _native
from procession.core import callers
from procession.errors import ProcessStateError
from procession.pool.contexts import context_of
from procession.scopes import verdicts
from procession.scopes.current import innermost
from procession.scopes.outcomes import Outcomes
from procession.scopes.quiet import Quiet
from procession.scopes.timer import Timer
from procession.scopes.why import Why

if TYPE_CHECKING:
    from procession.process.process import Process
    from procession.scopes.handle import Handle
    from procession.scopes.hosts import Host

__all__ = ["Core", "Member", "Why"]


class Member(Protocol):
    """One thing that is over before its scope is. It says so by `Core.gone`."""

    name: str
    shield: bool  #: it is let finish when the scope is ended
    asked: bool  #: somebody wants it to end
    told: bool  #: and has told it

    def end(self) -> None:
        """Have it end soon. Does not block, raises nothing, may be called again."""

    def kill(self) -> None:
        """Have it end now; the same."""


class Last(Member, Protocol):
    """The member that does something for others, and is over when they are."""

    def dismiss(self) -> None:
        """There are no others any more, and will not be. Called once."""


_numbers = itertools.count(1)
#: From so many on it is looked whether they are known still.
MOST_DEAD = 64


class Core:
    """Of one scope. `name` is what messages call it."""

    def __init__(self, name: str, grace: float, timeout: float | None, shield: bool, context: Any) -> None:
        self.name = name
        self.grace = grace
        self.timeout = timeout
        self.shield = shield
        self.context = context_of(context)
        self.lock = threading.RLock()  # (a signal's handler may call `cancel` in the middle of anything)
        self.pid = os.getpid()
        self.id = (self.pid, next(_numbers))
        self.host: Host | None = None  # who runs its block, while it does
        self.outer: Core | None = None
        self.inner: dict[Core, None] = {}  # open ones, in the order of their opening
        self.members: dict[Any, None] = {}
        self.last: Last | None = None  # the member that is over after all others, if there is one
        self.why: Why | None = None
        self.failures: list[Any] = []  # members, and errors
        self.unfinished: tuple[str, ...] = ()
        self.left = False
        self.sealed = False  # it takes on nothing more, for it was left, and had no member but the last one
        self.closed = False
        self.killing = False
        self._timer: Timer | None = None
        self.outcomes: Outcomes  # from its opening on
        self._dead: list[int] = []  # in the process table: processes that may have left something
        self._children = itertools.count(1)
        self._notice: Any = None

    # --- opening ---

    def open(self, host: Host) -> None:
        """Its block begins. After an error, and when a signal's handler raises, it does not."""
        try:
            with Quiet():
                self._open(host)
        except BaseException:
            self.close()
            self.host = None
            host.retract()
            raise

    def _open(self, host: Host) -> None:
        outer = innermost.get()
        self.outer = outer if outer is not None and outer._holds(host) else None
        self.host = host
        self.outcomes = Outcomes()
        if self.timeout is not None:
            self._timer = Timer(self.timeout, self.expire)
        innermost.set(self)
        if self.outer is not None:
            self.outer.inner[self] = None
            if self.outer.why is not None and not self.shield:
                self.end(Why.OUTER)
        host.begin()

    def _holds(self, host: Host) -> bool:
        """Whether a scope that `host` opens now is within our block."""
        return self.pid == os.getpid() and self.host is not None and not self.closed and self.host.holds(host)

    def close(self) -> None:
        """Its block is over. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
        if innermost.get() is self:
            innermost.set(self.outer)
        if self.outer is not None:
            self.outer.inner.pop(self, None)
            self.outer.inner_left()

    # --- asking ---

    def is_ours(self) -> bool:
        return self.pid == os.getpid()

    def check_process(self) -> None:
        """Raises ProcessStateError in another process."""
        if self.pid != os.getpid():
            raise ProcessStateError(f"{self.name} belongs to process {self.pid}, which opened it; this is {os.getpid()}")

    def origin(self) -> Core:
        """Where the ending began: itself, or an outer one."""
        return self.outer.origin() if self.why is Why.OUTER and self.outer is not None else self

    def watched(self) -> Any:
        """An event that is set when it is being ended, or over."""
        from procession.sync.event import Event

        with self.lock:
            if self._notice is None:
                self._notice = Event()
                if self.why is not None or self.closed:
                    self._notice.set()
            return self._notice

    # --- members ---

    def number(self) -> int:
        return next(self._children)

    def check_open(self) -> None:
        """Raises as `enlist`."""
        self.check_process()
        if self.host is None:
            raise ProcessStateError(f"{self.name} is not open: use it in a with statement")
        if self.why is not None or self.sealed or self.closed:
            raise verdicts.ended(self)

    def enlist_last(self, member: Last) -> None:
        """(The lock is held.) Raises as `enlist`."""
        self.check_open()
        self.members[member] = None
        self.last = member

    def others(self) -> list[Any]:
        """The members but the last one."""
        return [member for member in list(self.members) if member is not self.last]

    def enlist(self, member: Member) -> None:
        """It is to be over before we are. Raises ScopeEnded, ProcessStateError."""
        self.check_open()
        with self.lock:
            if self.why is None and not (self.sealed or self.closed):
                self.members[member] = None
                return
        raise verdicts.ended(self)

    def start(self, handle: Handle[Any]) -> None:
        """Start a child. Raises as `enlist`, and what a start raises; nothing is left then."""
        try:
            self.enlist(handle)
            handle.launch()
        finally:
            if not handle.has_process:
                self.gone(handle)
            elif self.why is not None:  # (meanwhile)
                self.end_all()

    def child_over(self, handle: Handle[Any], process: Process) -> None:
        """Its process has ended. In the thread of callbacks."""
        self.note_dead(process)
        failed = handle.judge(process, self.heard(handle))
        first = failed and self.fail(handle)
        handle.conclude()
        self.gone(handle)
        if first:
            self.end_all()

    def heard(self, handle: Handle[Any]) -> Any:
        """What the child has said, now that it is over."""
        with self.lock:
            return self.outcomes.take(handle._number)

    def note_dead(self, process: Process) -> None:
        """If it left anything behind, that is ended before we are over."""
        popen = process._popen
        if popen is None:
            return
        if len(self._dead) >= MOST_DEAD:  # (a supervisor may go on for years)
            self._dead = [member for member in self._dead if _native.table_get(member) is not None]
        self._dead.append(popen.child.member)

    def fail(self, failure: Any) -> bool:
        """A member that has failed, or an error; whether it is the first, so that all must be ended."""
        with self.lock:
            if self.closed:
                return False
            self.failures.append(failure)
            first, self.why = self.why is None, self.why or Why.FAILED
            return first

    def gone(self, member: Any) -> None:
        """It is over."""
        with self.lock:
            self.members.pop(member, None)
        self._see_if_over()

    def _see_if_over(self) -> None:
        with self.lock:
            if not self.left or self.closed or len(self.members) > (self.last in self.members):
                return
            dismissed = self.last if not self.sealed else None
            self.sealed = True
            if dismissed is None and not self.members:
                self.closed = True
        if dismissed is not None:
            callers.call(dismissed.dismiss)  # (not here, where a pool's lock may be held)
        elif self.closed:
            self.tell()

    # --- ending ---

    def cancel(self, handle: Any) -> None:
        """End one member; that is no failure."""
        handle.asked = True
        handle.end()
        handle.told = True

    def expire(self) -> None:
        """Its time is over."""
        with self.lock:
            if self.why is None and not self.closed:
                members = list(self.members) if self.sealed else self.others()
                self.unfinished = (*(member.name for member in members), *(core.name for core in self.inner))
        self.end(Why.TIMEOUT)

    def end(self, why: Why) -> None:
        """End all in it that has no shield, for that reason if there was none before. May be called again, by any thread."""
        with self.lock:
            if self.closed:
                return
            self.why = self.why or why
        self.end_all()

    def end_all(self) -> None:
        """Each member is asked once: twice only if a signal's handler raises in between."""
        for core in reversed(list(self.inner)):
            if not core.shield:
                core.end(Why.OUTER)
        self.end_members()
        self.tell()

    def end_members(self) -> None:
        with self.lock:
            members = [member for member in reversed(self.members) if not (member.shield or member.told)]
        for member in members:
            member.asked = True
            if getattr(member, "has_process", True):  # (else it is about to be started: who does that looks again)
                member.end()
                member.told = True

    def kill_all(self) -> None:
        """At once, shielded or not, down to the innermost scope."""
        with self.lock:
            if self.closed:
                return
            self.why = self.why or Why.CANCELLED
            self.killing = True
            members = list(self.members)
        for core in list(self.inner):
            core.kill_all()
        for member in members:
            member.asked = True
            member.kill()
        self.tell()

    def tell(self) -> None:
        """Something has changed that somebody may wait for."""
        if self._notice is not None and (self.why is not None or self.closed):
            self._notice.set()
        host = self.host
        if host is not None:
            host.tell(self)

    def inner_left(self) -> None:
        """A scope within our block was left: if it was shielded, what it was shielded from comes now."""
        if self.why is not None:
            self.tell()
        if self.outer is not None:
            self.outer.inner_left()

    def shields(self) -> bool:
        """Whether an inner scope keeps what ends us from our block."""
        return any(core.shield or core.shields() for core in list(self.inner))

    # --- leaving ---

    def leave(self, error: BaseException | None) -> None:
        """The block was left, with that error. May be called again."""
        if error is not None and not verdicts.is_consequence(self, error):
            self.end(Why.BODY)
        with self.lock:
            self.left = True
            for member in [member for member in self.members if not getattr(member, "has_process", True)]:
                if member.thread == threading.get_ident():
                    del self.members[member]  # (a signal's handler raised before it was started)
        self._see_if_over()

    def drop(self) -> None:
        """Nobody will leave it. Called by the collector of garbage, whose thread may have any lock: so another one, which may
        wait for locks, ends it."""
        self.host = None  # (its block is no more: a cancellation of its task would be nobody's)
        if innermost.get() is self:
            innermost.set(self.outer)
        try:
            _thread.start_new_thread(self._end_dropped, ())
        except RuntimeError:  # no thread is to be had, as at the end of the program
            self._end_dropped()

    def _end_dropped(self) -> None:
        self.end(Why.CANCELLED)
        self.leave(None)
        self.close()

    def interrupted(self, times: int) -> None:
        """Somebody wants to be out of here (Ctrl-C), for the first time, or again."""
        if times:
            self.end(Why.CANCELLED)
        if times > 1:
            self.kill_all()

    def sweep(self) -> None:
        """End what its processes have left. Blocks, for some milliseconds if there may be something."""
        dead, self._dead = self._dead, []
        left = [member for member in dead if _native.table_get(member) is not None]
        for member in left:
            _native.kin_mark_dead(member)
        if left:
            _native.kin_sweep()
