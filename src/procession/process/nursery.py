"""The starting process's side of its zygote: orders spares ahead, and hands one out at each start.

Safe to use from many threads. If the zygote was killed, the next start launches another; spares that were killed are
skipped. A fork of the user's leaves the child with an empty nursery of its own.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
from collections import deque
from typing import Any, NamedTuple

from procession import _native
from procession.core import forkhooks, main_module, messages
from procession.errors import StartError
from procession.process import launch, lessons, portable, world
from procession.process.family import family

__all__ = ["Nursery", "nursery"]

#: How many spares stand ready; each costs about 2 MiB of memory of its own. More are ordered when only LEAST are left, so
#: that most starts find both cores free of the zygote's work.
SPARES, LEAST = 4, 1
#: Launches in a row that may fail before start() gives up.
_ATTEMPTS = 3


class Spare(NamedTuple):
    """One that was ordered, and what the zygote had been told by then."""

    child: _native.Child
    told: world.Baseline


class Nursery:
    """All that this process keeps for making children from a zygote."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control = -1
        self._zygote: _native.Child | None = None
        self._spares: deque[Spare] = deque()
        self._told: world.Baseline | None = None  # what the zygote knows, and the spares ordered from now on
        self._lessons = lessons.Lessons()

    # --- for Popen ---

    def take(self) -> Spare:
        """Return a living spare, which is then the caller's, and what it knows. Raises OSError when none can be made.

        Waits for as long as the zygote takes to make one: nothing when one stands ready, some 70 ms the first time.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                self._ensure()
                spare = self._next()
                if spare is not None:
                    return spare
            raise StartError(11, f"the zygote could not make a process ({_ATTEMPTS} tries)")

    def _next(self) -> Spare | None:
        """The next spare that turns out to be alive; None when the zygote died."""
        while True:
            if not self._spares and not self._order():
                return None
            spare = self._spares.popleft()
            if spare.child.hello() and not spare.child.exited:
                return spare
            if self._zygote is not None and self._zygote.poll():
                return None

    def refill(self) -> None:
        """Order what is missing. What cannot be ordered now is tried again at the next start."""
        if len(self._spares) > LEAST:
            return
        with self._lock:
            try:
                while len(self._spares) < SPARES and self._zygote is not None and self._order():
                    continue
            except OSError:
                return

    def expect(self, modules: set[str], count: int) -> None:
        """So many children that need these modules are about to be started: let spares be made for them. Does not wait; what
        goes wrong is told by the start."""
        self.learn(modules)
        with self._lock, contextlib.suppress(OSError):
            self._ensure()
            while len(self._spares) < min(count, SPARES) and self._order():
                continue

    def warm_up(self) -> None:
        """Launch the zygote and order spares, without waiting for them."""
        self.guard()
        self.refill()

    def guard(self) -> None:
        """See to it that there is a zygote, whatever the start method: it is also who ends what we leave if we are killed."""
        if self._zygote is None or self._zygote.exited:
            with self._lock:
                self._ensure()

    def _order(self) -> bool:
        """Ask the zygote for one more. False when it is dead."""
        assert self._told is not None
        member = _native.table_add(_native.ORDERED, 0, family.me, "spare")
        try:
            self._spares.append(Spare(_native.Child.order(self._control, member), self._told))
        except OSError as error:
            _native.table_free(member)
            if isinstance(error, (BrokenPipeError, ConnectionError)):
                self._forget_zygote()
                return False
            raise
        return True

    # --- the zygote ---

    def _ensure(self) -> None:
        """There is a zygote. With the lock."""
        family.ensure()
        if self._zygote is None or self._zygote.exited:
            self._launch()

    def _launch(self) -> None:
        if self._zygote is not None and self._zygote.status == lessons.REFUSED << 8:
            self._lessons.refuse()
        self._forget_zygote()
        ours, theirs = _native.channel_pair()
        member = _native.NOBODY
        try:
            member = _native.table_add(_native.ORDERED, _native.ZYGOTE, family.me, "zygote")
            self._told = world.baseline()
            _, self._zygote = launch_helper("boot", "zygote", theirs, member)
            send_boot(ours, boot_message(member, self._told, self._lessons.all()))
        except BaseException:
            os.close(ours)
            _native.table_free(member)
            self._forget_zygote()
            raise
        finally:
            os.close(theirs)
        self._control = ours

    def _forget_zygote(self) -> None:
        if self._control >= 0:
            os.close(self._control)
        self._control = -1
        self._zygote = None

    def change_preload(self, names: list[str]) -> None:
        """Import these modules in the zygote. The present one is let go."""
        with self._lock:
            if self._lessons.demand(names):
                self._dismiss()

    def preload(self) -> list[str]:
        """What the zygote imports ahead."""
        return self._lessons.all()

    def learn(self, modules: set[str]) -> None:
        """The next child will need these modules: let the zygote import them, so that this child and those after it have them.
        Does not wait for it."""
        with self._lock:
            new, stale = self._lessons.learn(modules)
            if stale:
                self._dismiss()
            elif new and self._zygote is not None:
                self._teach(new)

    def _teach(self, names: list[str]) -> None:
        for spare in self._spares:  # they do not have them
            spare.child.signal(signal.SIGKILL)
        self._spares.clear()
        self._told = world.baseline()
        try:
            lesson = messages.pack(pickle.dumps((names, self._told)), self._zygote.member if self._zygote else 0)
            _native.channel_send(self._control, lesson, [])
        except ConnectionError:
            self._forget_zygote()

    def stop(self) -> None:
        """End the zygote and its spares. The next start launches another."""
        with self._lock:
            self._dismiss()

    def _dismiss(self) -> None:
        """Killing them loses nothing, and a zygote that is only let go waits for our own end."""
        spares, zygote = [*self._spares], self._zygote
        self._spares.clear()
        self._forget_zygote()
        if zygote is not None:
            zygote.signal(signal.SIGKILL)
            zygote.wait()
        for spare in spares:
            if spare.child.hello():  # 0: it was never made
                spare.child.signal(signal.SIGKILL)
                spare.child.wait()

    def forget_in_fork(self) -> None:
        """The parent's zygote and spares are not ours."""
        if self._control >= 0:
            os.close(self._control)
        known = self._lessons
        self.__init__()  # type: ignore[misc]
        self._lessons = known

    def helpers(self) -> set[int]:
        """Pids of our zygote and of our idle spares, as far as we have heard of them. Takes no lock: a handler of SIGCHLD
        may ask in the middle of a start."""
        zygote = self._zygote
        found = {spare.child.pid for spare in tuple(self._spares)}
        return (found | {zygote.pid if zygote is not None else 0}) - {0}


def boot_message(member: int, told: world.Baseline, preload: list[str]) -> dict[str, Any]:
    """What a helper must know before its first start."""
    compat = sys.modules.get("procession.compat")  # (not worth an import: who installed it has it)
    return {
        "member": member,
        "parent_member": family.me,
        "baseline": told,
        "main": main_module.describe_main(),
        "state": portable.common_state(),
        "preload": preload,
        "compat": compat is not None and compat.installed(),
    }


def send_boot(control: int, boot: dict[str, Any]) -> None:
    """Send it."""
    _native.channel_send(control, messages.pack(pickle.dumps(boot), boot["member"]), [])


def launch_helper(module: str, function: str, theirs: int, member: int) -> tuple[int, _native.Child]:
    """Launch a fresh interpreter as a member of the family; its pid, and the charge of it."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        pid = launch.run_function(module, function, theirs, pidfd)
    finally:
        os.close(pidfd)
    try:
        child = _native.Child.adopt(pid, -1, member)
    except OSError:  # no descriptor left to watch it with: it must not run unwatched
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    _native.table_sit(member, pid)
    return pid, child


nursery = Nursery()
forkhooks.after_in_child(nursery.forget_in_fork)
