"""The starting process's side of its zygote: orders spares ahead, and hands one out at each start.

Safe to use from many threads. If the zygote was killed, the next start launches another; spares that were killed are
skipped. A fork of the user's leaves the child with an empty nursery of its own.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from typing import Any

from procession import _native
from procession.core import forkhooks, main_module, messages
from procession.errors import StartError
from procession.process import launch, world
from procession.process.family import family

__all__ = ["Nursery", "nursery"]

#: How many spares stand ready. Two cores keep up with three; each costs about 2 MiB of memory of its own.
SPARES = 3
#: Launches in a row that may fail before start() gives up.
_ATTEMPTS = 3


class Nursery:
    """All that this process keeps for making children from a zygote."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control = -1
        self._zygote: _native.Child | None = None
        self._spares: deque[_native.Child] = deque()
        self.preload: list[str] = []
        self.told: world.Baseline | None = None

    # --- for Popen ---

    def take(self) -> _native.Child:
        """Return a living spare, which is then the caller's. Raises OSError when none can be made.

        Waits for as long as the zygote takes to make one: nothing when one stands ready, some 50 ms the first time.
        """
        with self._lock:
            family.ensure()
            for _ in range(_ATTEMPTS):
                if self._zygote is None or self._zygote.exited:
                    self._launch()
                spare = self._next()
                if spare is not None:
                    return spare
            raise StartError(11, f"the zygote could not make a process ({_ATTEMPTS} tries)")

    def _next(self) -> _native.Child | None:
        """The next spare that turns out to be alive; None when the zygote died."""
        while True:
            if not self._spares and not self._order():
                return None
            spare = self._spares.popleft()
            if spare.hello() and not spare.exited:
                return spare
            if self._zygote is not None and self._zygote.poll():
                return None

    def refill(self) -> None:
        """Order what is missing. What cannot be ordered now is tried again at the next start."""
        with self._lock:
            try:
                while len(self._spares) < SPARES and self._zygote is not None and self._order():
                    continue
            except OSError:
                return

    def warm_up(self) -> None:
        """Launch the zygote and order spares, without waiting for them."""
        with self._lock:
            family.ensure()
            if self._zygote is None:
                self._launch()
        self.refill()

    def _order(self) -> bool:
        """Ask the zygote for one more. False when it is dead."""
        member = _native.table_add(_native.ORDERED, 0, family.me, "spare")
        try:
            self._spares.append(_native.Child.order(self._control, member))
        except OSError as error:
            _native.table_free(member)
            if isinstance(error, (BrokenPipeError, ConnectionError)):
                self._forget_zygote()
                return False
            raise
        return True

    # --- the zygote ---

    def _launch(self) -> None:
        self._forget_zygote()
        ours, theirs = _native.channel_pair()
        member = _native.NOBODY
        try:
            member = _native.table_add(_native.CLAIMED + 1, _native.ZYGOTE, family.me, "zygote")
            self.told = world.baseline()
            pid, self._zygote = launch_helper("procession.process.zygote", "main", theirs, member)
            send_boot(ours, self._boot(member))
        except BaseException:
            os.close(ours)
            _native.table_free(member)
            self._forget_zygote()
            raise
        finally:
            os.close(theirs)
        self._control = ours

    def _boot(self, member: int) -> dict[str, Any]:
        return boot_message(member, self.told or world.baseline(), self.preload)

    def _forget_zygote(self) -> None:
        if self._control >= 0:
            os.close(self._control)
        self._control = -1
        self._zygote = None

    def change_preload(self, names: list[str]) -> None:
        """Use these modules from the next zygote on; the present one is let go."""
        with self._lock:
            if names != self.preload:
                self.preload = names
                self._spares.clear()
                self._forget_zygote()

    def forget_in_fork(self) -> None:
        """The parent's zygote and spares are not ours."""
        if self._control >= 0:
            os.close(self._control)
        preload = self.preload
        self.__init__()  # type: ignore[misc]
        self.preload = preload

    def helpers(self) -> set[int]:
        """Pids of our zygote and of our idle spares."""
        with self._lock:
            found = {spare.pid for spare in self._spares}
            if self._zygote is not None:
                found.add(self._zygote.pid)
        return found - {0}


def boot_message(member: int, told: world.Baseline, preload: list[str]) -> dict[str, Any]:
    """What a helper must know before its first start."""
    from procession import compat

    return {
        "member": member,
        "parent_member": family.me,
        "baseline": told,
        "main": main_module.describe_main(),
        "preload": preload,
        "compat": compat.installed(),
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
    return pid, _native.Child.adopt(pid, -1, member)


nursery = Nursery()
forkhooks.after_in_child(nursery.forget_in_fork)
