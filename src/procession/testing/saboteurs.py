"""Targets that end badly, each in one way, and objects that do not pickle. Named for what they do."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = [
    "Unpicklable",
    "UnpicklableInChild",
    "WhenPickled",
    "WhenUnpickled",
    "crash_hard",
    "eat_memory",
    "exit_at_once",
    "exit_python",
    "hold_the_gil",
    "ignore_sigterm",
    "kill_self",
    "leave_descendants",
    "raise_error",
    "sleep_for_ever",
]


def exit_at_once(code: int) -> NoReturn:
    """No clean-up, no last words in Python."""
    os._exit(code)


def exit_python(code: int) -> NoReturn:
    """`sys.exit`: an exception that is no Exception."""
    sys.exit(code)


def eat_memory(room: int | None = None) -> NoReturn:
    """Allocate until there is a MemoryError: `room` bytes further on, or where a limit that is there already says so (there
    must be one then)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_data() + room, hard))
    eaten = []
    try:
        while True:
            eaten.append(bytearray(1 << 22))
    finally:
        eaten.clear()
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))


def kill_self(number: int = signal.SIGKILL) -> None:
    """Die by a signal."""
    os.kill(os.getpid(), number)
    signal.pause()


def crash_hard() -> None:
    """A real segmentation fault, as a bug in an extension makes it."""
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def raise_error(error: BaseException) -> NoReturn:
    """An exception that nobody catches."""
    raise error


def sleep_for_ever() -> NoReturn:
    """Until somebody ends it."""
    while True:
        time.sleep(3600)


def ignore_sigterm(ready: int) -> NoReturn:
    """Deaf to SIGTERM; writes a byte to the descriptor `ready` once it is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(ready, b".")
    sleep_for_ever()


def hold_the_gil(seconds: float) -> None:
    """Compute in C, with the GIL held, for at least that long, in one call."""
    size, took = 1 << 16, 0.0
    while took < seconds:  # (a size eight times as big at most: from a short call to a long one is a wild guess)
        began = time.monotonic()
        sorted(range(size, 0, -1), key=(-1).__mul__)
        took = time.monotonic() - began
        size = int(size * min(8.0, max(1.3, 1.2 * seconds / took)))


def leave_descendants(*kinds: str) -> list[int]:
    """Start plain descendants of these kinds ("subprocess", "fork", "session": a setsid'ed one, "double": one whose parent has
    gone, "headless": one whose first thread has ended, which /proc calls a zombie) that would live for an hour; their pids."""
    return [_KINDS[kind]() for kind in kinds]


def _subprocess() -> int:
    import subprocess

    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
    process.returncode = 0  # nobody will wait: no ResourceWarning about it
    return process.pid


def _session() -> int:
    import subprocess

    process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    process.returncode = 0
    return process.pid


def _fork() -> int:
    pid = os.fork()
    if pid == 0:
        sleep_for_ever()
    return pid


def _double() -> int:
    """The daemon's way: fork, setsid, fork again, and the one between leaves."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild:
            os.write(write, str(grandchild).encode())
            os._exit(0)
        sleep_for_ever()
    os.waitpid(pid, 0)
    grandchild = int(os.read(read, 32))
    os.close(read)
    os.close(write)
    return grandchild


def _headless() -> int:
    import subprocess

    leave = 60 if os.uname().machine == "x86_64" else 93  # the system call that ends a thread, not the process
    code = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(3600,)).start(); "
    code += f"ctypes.CDLL(None).syscall({leave}, 0)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code])
    process.returncode = 0
    while True:
        with open(f"/proc/{process.pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                return process.pid
        time.sleep(0.001)


_KINDS = {"subprocess": _subprocess, "session": _session, "fork": _fork, "double": _double, "headless": _headless}


class Unpicklable:
    """Refuses to be pickled."""

    def __init__(self, error: type[Exception] = TypeError) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("this object does not pickle")


class UnpicklableInChild:
    """Pickles well, and fails to come back."""

    def __reduce__(self) -> Any:
        return _fail_to_load, ()


def _fail_to_load() -> NoReturn:
    raise ValueError("this object does not unpickle")


class WhenPickled:
    """Calls ``fault(*args)`` when it is pickled; what comes back is `fault`'s result."""

    def __init__(self, fault: Callable[..., Any], *args: Any) -> None:
        self.fault, self.args = fault, args

    def __reduce__(self) -> Any:
        return _itself, (self.fault(*self.args),)


class WhenUnpickled:
    """Pickles well; ``fault(*args)`` is called when it is unpickled, and its result is what comes back."""

    def __init__(self, fault: Callable[..., Any], *args: Any) -> None:
        self.fault, self.args = fault, args

    def __reduce__(self) -> Any:
        return self.fault, self.args


def _itself(value: Any) -> Any:
    return value
