"""The runner's signals: all are blocked and taken one by one, so that none is lost and none interrupts a step."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

__all__ = ["Inherited", "block", "foreground", "stop_like", "to_pass_on"]

#: They report the runner's own faults, at the instruction that has it.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
#: A terminal sends them to the whole foreground group: the program has them already.
_KEYBOARD = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU}
#: Python ignores these in every program.
_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}

TAKEN = signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}


class Inherited(NamedTuple):
    """What the runner was started with, which is the program's."""

    ignored: list[int]
    blocked: list[int]


def block() -> Inherited:
    """Block everything that `TAKEN` names."""
    ignored = [int(s) for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN and s not in _PYTHONS]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    for number in (signal.SIGCHLD, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_DFL)  # (with SIGCHLD ignored the kernel would reap for us, and tell nothing)
    return Inherited(ignored, [int(s) for s in blocked])


def to_pass_on(info: signal.struct_siginfo, program: int) -> bool:
    """Whether the program must be sent this signal, which the runner got."""
    if info.si_signo in _KEYBOARD and info.si_code > 0:  # from the kernel, not by kill()
        return _group(program) not in (None, os.getpgrp())
    return info.si_pid != os.getpid() or info.si_code > 0


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def stop_like(number: int) -> None:
    """Stop ourselves as the program was stopped, so that the shell sees its job stopped. Returns when continued; at
    once
    where the kernel does not let us stop (no shell there to continue us)."""
    if number == signal.SIGSTOP and not foreground():
        return  # somebody's kill -STOP, meant for the program alone
    os.kill(os.getpid(), number)  # (blocked yet: it and the terminal's own become one)
    if number != signal.SIGSTOP:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)


def foreground() -> bool:
    """Whether our process group is the one that a terminal talks to."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)
