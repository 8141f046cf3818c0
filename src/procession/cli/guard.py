"""The guard: a fork of the runner that does nothing but wait for the runner's end.

If the runner is SIGKILLed, the kernel kills the program (PR_SET_PDEATHSIG), and its zygote, if it has one, ends what
the program
left. A program without a zygote may have children too: them the guard ends. In the usual case the runner ends it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from procession import _native

__all__ = ["Guard"]


class Guard:
    """The runner's handle on its guard. A guard that was killed is replaced, a few times."""

    def __init__(self, runner: int) -> None:
        self._runner = runner
        self._left = 8
        self._member = _native.NOBODY
        self.pid = 0

    def start(self) -> None:
        """Fork it. Without room for another process the runner goes on without."""
        if self._left == 0:
            return
        self._left -= 1
        pidfd = os.pidfd_open(os.getpid())
        try:
            self._member = _native.table_add(_native.RUNNING, _native.ZYGOTE, self._runner, "guard")
            self.pid = os.fork()
            if self.pid == 0:
                _watch(pidfd, self._member, self._runner)
        except OSError:
            self._gone()
        finally:
            os.close(pidfd)

    def reap(self) -> None:
        """Wait for its end."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._gone()

    def end(self) -> None:
        """End it, and reap it."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def _gone(self) -> None:
        _native.table_free(self._member)
        self.pid = 0


def _watch(pidfd: int, member: int, runner: int) -> None:
    """The guard's life. It keeps nothing of the runner's open: nobody who waits for an end of file must wait for it."""
    try:
        os.setsid()  # a SIGKILL to the runner's group is not for us
        _native.self_settle(member, _native.RUNNING)
        _close_all_but(pidfd, _native.commons_fd())
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll()
        _native.kin_mark_dead(runner)
        _native.kin_sweep()
        _native.table_free(member)
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    first = 0
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
