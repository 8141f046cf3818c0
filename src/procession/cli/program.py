"""The program's side of `procession run`: how a fresh interpreter becomes the root of the family before it runs the
program.

Called by `hook/sitecustomize.py`. What the runner tells it comes over a start channel, descriptor 3, with the commons
as
descriptor 4; both numbers are free again before the program begins.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import signal
from typing import Any

from procession import _native

__all__ = ["COMMONS_FD", "START_FD", "enter"]

START_FD, COMMONS_FD = 3, 4
#: Where the commons' descriptor is put: out of the way of programs that expect the first numbers to be free.
_HIGH = 64


def enter() -> None:
    """Join the family, be bound to the runner's life, and let `multiprocessing` be ours. Ends the process if there is
    no
    runner any more."""
    message, passed = _native.channel_receive(START_FD)
    if not message:
        os._exit(1)
    boot: dict[str, Any] = marshal.loads(message)
    _native.commons_join(_move_up(COMMONS_FD, max([_HIGH, *(number + 1 for number in boot["fds"])])))
    os.close(START_FD)
    _place(passed, boot["fds"])
    if not _native.self_die_with(boot["runner"], signal.SIGKILL):
        os._exit(1)
    _restore_environment(boot["environ"])
    _restore_signals(boot["ignored"], boot["blocked"])
    _become(boot["member"])


def _become(member: int) -> None:
    from procession import compat
    from procession.process.family import family

    family.become(member)
    compat.install()
    _native.self_settle(member, _native.RUNNING)


def _move_up(fd: int, wanted: int) -> int:
    for least in (wanted, COMMONS_FD + 1):  # (under a small RLIMIT_NOFILE there is no such number)
        try:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
        except OSError:
            continue
        os.close(fd)
        return moved
    return fd


def _place(passed: list[int], wanted: list[int]) -> None:
    """Put the descriptors that the runner inherited under the numbers that they had there."""
    if not wanted:
        return
    least = max(wanted) + 1
    clear = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least) for fd in passed]
    for fd in passed:
        os.close(fd)
    for fd, number in zip(clear, wanted, strict=True):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)


def _restore_environment(changed: dict[str, str | None]) -> None:
    """Undo what the runner changed so that this interpreter would find the hook."""
    for key, value in changed.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


def _restore_signals(ignored: list[int], blocked: list[int]) -> None:
    """What the runner was started with: nohup ignores SIGHUP, a shell's background job SIGINT."""
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
