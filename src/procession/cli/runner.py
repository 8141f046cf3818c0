"""The runner: the process that `procession run` is, from the program's start to the summary.

Written to be PID 1 if need be. It has one thread, and one place where it waits: for a signal. SIGCHLD makes it reap
whatever
has ended, its own child or an orphan that the kernel gave it (PR_SET_CHILD_SUBREAPER); other signals go on to the
program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import NoReturn, TextIO

from procession import _native
from procession.cli import arguments, launch, leavings, signals, summary
from procession.cli.arguments import Refused, Wanted
from procession.cli.guard import Guard

__all__ = ["Runner", "finish", "run_checked"]


def run_checked(wanted: Wanted) -> int:
    """Run it; the exit status. What cannot be run is refused with one line and 2, before anything is started."""
    try:
        arguments.check(wanted)
        report = _open_report(wanted.report)
        runner = Runner(wanted)
        runner.start()
    except (Refused, OSError, MemoryError) as error:
        print(f"procession run: {error}", file=sys.stderr)
        return 2
    status = runner.serve()
    runner.end()
    runner.tell(report)
    return status


def finish(status: int) -> NoReturn:
    """End this process with `status`, without the interpreter's own putting away."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _open_report(path: str | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return open(path, "a", encoding="utf-8")  # (appending: the old one stays until there is a new one)
    except OSError as error:
        raise Refused(f"cannot write the report {path!r}: {error.strerror}") from None


class Runner:
    """One program's run."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.pid = 0
        self.ended: summary.Ended | None = None
        self._began = time.monotonic()
        self._orphans = leavings.Orphans()

    def start(self) -> None:
        """Found the family and launch the program. Raises OSError or MemoryError."""
        fds = launch.inherited_descriptors()
        inherited = signals.block()
        _native.self_subreaper()
        _native.commons_found()
        self.me = _native.table_add(_native.RUNNING, _native.RUNNER, _native.NOBODY, "procession run")
        _native.self_settle(self.me, _native.RUNNING)
        self.member = _native.table_add(_native.READY, _native.ROOT, self.me, self.wanted.name)
        _native.table_start(self.member, _native.ROOT, self.wanted.name)
        _native.commons_root(self.member)
        self.pid = launch.start(self.wanted, self.member, inherited, fds)
        _let_go(fds, self.wanted.quiet)
        self.guard = Guard(self.me)
        self.guard.start()

    def serve(self) -> int:
        """Wait for signals until the program has ended; the exit status to hand on."""
        while self.ended is None:
            info = signal.sigwaitinfo(signals.TAKEN)
            if info.si_signo == signal.SIGCHLD:
                self._reap()
            elif info.si_signo == signal.SIGCONT:
                self._continue()
            elif signals.to_pass_on(info, self.pid):
                os.kill(self.pid, info.si_signo)  # (not reaped yet: the pid is its own)
        return self.ended.exit_status

    def _reap(self) -> None:
        """Take the news of all children."""
        sweep = False
        for child in leavings.news():
            if child.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
                os.waitid(os.P_PID, child.si_pid, os.WSTOPPED | os.WNOHANG)
                if child.si_pid == self.pid:
                    signals.stop_like(child.si_status)
            elif child.si_pid == self.pid:
                self.ended = summary.Ended.of(self.pid, self.member)
            elif child.si_pid == self.guard.pid:
                self.guard.reap()
                self.guard.start()
            else:
                sweep |= self._orphans.bury(child.si_pid)
        if sweep and self.ended is None:
            _native.kin_sweep()

    def _continue(self) -> None:
        """We were continued: so is the program, unless it was with us."""
        stat = _native.proc_stat(self.pid)
        if stat is not None and stat[0] in "Tt":
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """The program is gone: end what it left."""
        _native.kin_mark_dead(self.member)
        _native.kin_sweep()
        self._orphans.end(self.guard)
        self.guard.end()
        _native.table_free(self.me)

    def tell(self, report: TextIO | None) -> None:
        """Print the summary and write the report."""
        assert self.ended is not None
        if self.wanted.quiet and report is None:
            return
        told = summary.collect(self.wanted, self.ended, self._orphans.found, time.monotonic() - self._began)
        if not self.wanted.quiet:
            summary.print_text(told)
        if report is not None:
            summary.write_report(told, report)


def _let_go(fds: list[int], quiet: bool) -> None:
    """What the program has of ours is its own: if it closes a pipe, the other side must see its end."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, *((2,) if quiet else ())):
        os.dup2(null, fd)
    for fd in (null, *fds):
        os.close(fd)
