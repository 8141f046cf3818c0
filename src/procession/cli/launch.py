"""Start the program: a fresh interpreter with the hook in front of its path (see hook/sitecustomize.py)."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys

from procession import _native
from procession.cli.arguments import Wanted
from procession.cli.signals import Inherited
from procession.process import launch

__all__ = ["inherited_descriptors", "start"]

_HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


def start(wanted: Wanted, member: int, inherited: Inherited, fds: list[int]) -> int:
    """Launch it as `member`, with the descriptors `fds` under the same numbers; its pid. Raises OSError."""
    ours, theirs = _native.channel_pair()
    try:
        environ, changed = _environment(member)
        executable = os.fsencode(sys.executable)
        argv = [executable, *_flags(), *map(os.fsencode, wanted.words)]
        standard = launch.open_standard_fds()
        pid = _native.launch(executable, argv, environ, [*standard, theirs, _native.commons_fd()], False)
        _one_thread_again()
        boot = {
            "member": member, "runner": os.getpid(), "fds": fds, "environ": changed,
            "ignored": inherited.ignored, "blocked": inherited.blocked,
        }  # fmt: skip
        _native.channel_send(ours, marshal.dumps(boot), fds)
    finally:
        os.close(ours)
        os.close(theirs)
    return pid


def inherited_descriptors() -> list[int]:
    """Descriptors from 3 on that the program would have if python were started in our place, as /dev/fd/63 of a shell's
    process substitution. At most as many as a message carries."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    return sorted(fd for fd in found if fd > 2 and _passes_exec(fd))[:253]


def _passes_exec(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def _flags() -> list[bytes]:
    """Our interpreter's options, but for those under which it would not look for the hook; see `_environment`."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    kept = [flag for flag in flags if flag not in ("-I", "-E", "-S")]
    return [os.fsencode(flag) for flag in [*kept, *(["-s", "-P"] if "-I" in flags else [])]]


def _environment(member: int) -> tuple[list[bytes], dict[str, str | None]]:
    """The program's environment for its start, and what it puts right in it before it begins."""
    changed: dict[str, str | None] = {"PYTHONPATH": os.environ.get("PYTHONPATH")}
    environ = dict(os.environ)
    if sys.flags.ignore_environment:  # the -E that was left out: what python would not see is put back by the hook
        changed.update({key: value for key, value in environ.items() if key.startswith("PYTHON")})
        environ = {key: value for key, value in environ.items() if not key.startswith("PYTHON")}
    path = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = _HOOK + os.pathsep + path if path else _HOOK
    environ[_native.COOKIE] = _native.kin_cookie(member)
    return [os.fsencode(f"{key}={value}") for key, value in environ.items()], changed


def _one_thread_again() -> None:
    """The thread that launched it must be gone before the program asks to die with its parent: that is what the kernel
    takes the thread for."""
    while len(os.listdir("/proc/self/task")) > 1:
        os.sched_yield()
