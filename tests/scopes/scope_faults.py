"""What children of scopes do, and how it ends. Named for what they do; found by name in the children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import procession
from procession import ProcessDied
from procession.testing import saboteurs


class Fault(NamedTuple):
    function: Callable[[], Any]
    error: type[BaseException]  # of a process
    task_error: type[BaseException]  # of a task


def raise_value_error() -> NoReturn:
    raise ValueError("this child fails")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600)


def leave() -> NoReturn:
    os._exit(7)


def exit_python() -> NoReturn:
    sys.exit(7)


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def return_unpicklable() -> Any:
    return saboteurs.Unpicklable()


class Odd(Exception):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("no")


def raise_odd() -> NoReturn:
    raise Odd("odd")


FAULTS = {
    "raises": Fault(raise_value_error, ValueError, ValueError),
    "SIGKILL": Fault(die, ProcessDied, BrokenProcessPool),
    "_exit": Fault(leave, ProcessDied, BrokenProcessPool),
    "sys.exit": Fault(exit_python, ProcessDied, SystemExit),
    "interrupt": Fault(interrupt, KeyboardInterrupt, KeyboardInterrupt),
    "unpicklable result": Fault(return_unpicklable, TypeError, TypeError),
    "unpicklable error": Fault(raise_odd, TypeError, TypeError),
}


def sleep_for_ever() -> NoReturn:
    saboteurs.sleep_for_ever()


def mark(folder: Path, name: str) -> None:
    (folder / name).touch()


def mark_and_sleep(folder: Path, name: str) -> NoReturn:
    mark(folder, name)
    saboteurs.sleep_for_ever()


def deaf(folder: Path, name: str) -> NoReturn:
    """To SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark_and_sleep(folder, name)


def with_descendant(folder: Path) -> NoReturn:
    """Has started a plain program, whose pid is the name of the mark."""
    program = subprocess.Popen(["sleep", "3600"])
    mark_and_sleep(folder, str(program.pid))


def with_big_descendant(folder: Path) -> NoReturn:
    """One whose memory takes long to be given back: meanwhile it has no environment any more, and is not gone."""
    code = "import os, sys, time; x = b'x' * (400 << 20); open(f'{sys.argv[1]}/{os.getpid()}', 'w'); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-S", "-c", code, str(folder)])
    saboteurs.sleep_for_ever()


def leave_descendant(folder: Path) -> None:
    program = subprocess.Popen(["sleep", "3600"])
    program.returncode = 0
    mark(folder, str(program.pid))


def leave_thread() -> int:
    """One that Python waits for before the process ends."""
    threading.Thread(target=sleep_for_ever).start()
    return os.getpid()


def until(folder: Path, name: str) -> str:
    """Ends when there is that mark."""
    while not (folder / name).exists():
        time.sleep(0.002)
    return name


def mark_and_wait(folder: Path, name: str, other: str) -> str:
    mark(folder, name)
    return until(folder, other)


def until_term(folder: Path, name: str) -> str:
    """Ends well when it is asked to, and returns something."""

    class Asked(Exception):
        pass

    def ask(*_: Any) -> None:
        raise Asked

    signal.signal(signal.SIGTERM, ask)
    try:
        mark_and_sleep(folder, name)
    except Asked:
        return "asked"


def adopt(thing: Any) -> str:
    """What is said when it is adopted here."""
    with procession.scope() as s:
        try:
            s.adopt(thing)
        except RuntimeError as error:
            return str(error)
    return "adopted"
