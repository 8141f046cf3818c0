"""What goes wrong in the fault matrix of pools (test_pool_matrix.py), the two faces of a pool as one, and the program whose own
process is hit. Workers find all of this by name."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from multiprocessing import util
from pathlib import Path
from typing import Any, NoReturn

import procession
from procession.pool import Pool, ProcessPoolExecutor
from procession.testing import saboteurs
from procession.testing.saboteurs import WhenPickled, WhenUnpickled

__all__ = [
    "DEADLY", "FACES", "FAULTS", "Face", "at_exit", "deaf", "give_pickled", "give_unpickled", "once", "released", "square",
    "wait_released",
]  # fmt: skip

ROOM = 48 << 20  # what a memory bomb may take


def fail(text: str) -> NoReturn:
    """(A new exception each time: one that is raised again and again keeps the frames of all, and the pools in them.)"""
    raise ValueError(text)


#: Each ends what it happens in, in its own way.
FAULTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "raise": (fail, ("sabotage",)),
    "sys.exit": (saboteurs.exit_python, (3,)),
    "os._exit": (saboteurs.exit_at_once, (3,)),
    "SIGKILL": (saboteurs.kill_self, ()),
    "SIGSEGV": (saboteurs.crash_hard, ()),
    "hang": (saboteurs.sleep_for_ever, ()),
    "memory": (saboteurs.eat_memory, (ROOM,)),
}
#: Those that end a process, and how: what Process.exitcode says.
DEADLY = {"os._exit": 3, "SIGKILL": -9, "SIGSEGV": -11}

released = threading.Event()  # what hangs in a thread of the test itself hangs until this


def square(number: int) -> int:
    return number * number


def give_pickled(fault: Callable[..., Any], *args: Any) -> WhenPickled:
    """A result that strikes while the worker pickles it."""
    return WhenPickled(fault, *args)


def give_unpickled(fault: Callable[..., Any], *args: Any) -> WhenUnpickled:
    """A result that strikes while somebody unpickles it."""
    return WhenUnpickled(fault, *args)


def deaf(path: str) -> None:
    """It neither hears exceptions nor SIGTERM; the file says that it runs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path).touch()
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


def once(path: str, fault: Callable[..., Any], *args: Any) -> None:
    """In the first process only that comes here."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    fault(*args)


def at_exit(fault: Callable[..., Any], *args: Any) -> None:
    """An initializer: it strikes when the worker is past its loop and its exit function."""
    util.Finalize(None, fault, args, exitpriority=10)


def wait_released(*_: Any) -> None:
    """A hang that the test can end."""
    released.wait(60)


class Face:
    """A pool of either kind."""

    def __init__(self, kind: str, method: str, **options: Any) -> None:
        context = procession.get_context(method)
        self.kind = kind
        self.pool: Any
        if kind == "executor":
            self.pool = ProcessPoolExecutor(2, context, **options)
        else:
            if "max_tasks_per_child" in options:
                options["maxtasksperchild"] = options.pop("max_tasks_per_child")
            self.pool = Pool(2, context=context, **options)

    def submit(self, function: Callable[..., Any], *args: Any, callback: Any = None, **options: Any) -> Any:
        pool = self.pool.with_options(**options) if options else self.pool
        if self.kind == "pool":
            return pool.apply_async(function, args, callback=callback)
        future = pool.submit(function, *args)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def outcome(self, handle: Any, timeout: float = 20) -> Any:
        """What it returned or raised. AssertionError if it does not end."""
        try:
            return handle.result(timeout) if self.kind == "executor" else handle.get(timeout)
        except (KeyboardInterrupt, AssertionError):
            raise
        except BaseException as error:
            if isinstance(error, NotYet | procession.TimeoutError) and not isinstance(error, procession.errors.TaskTimeout):
                raise AssertionError(f"a task has not ended within {timeout} s") from None
            return error

    def close(self) -> None:
        """In order."""
        if self.kind == "executor":
            self.pool.shutdown()
        else:
            self.pool.close()
            self.pool.join()

    def kill(self) -> None:
        if self.kind == "executor":
            self.pool.kill_workers()
            self.pool.shutdown()
        else:
            self.pool.terminate()


FACES = ("executor", "pool")


def program(kind: str, method: str, stage: str, name: str) -> None:
    """A program that is hit itself: in its pool's caller, or in its callbacks. Says when it is ready, and is told to go on."""
    fault, args = FAULTS[name]
    face = Face(kind, method)
    first = [face.submit(square, number) for number in range(6)]
    assert [face.outcome(handle) for handle in first] == [number * number for number in range(6)]
    before = [face.submit(square, number) for number in range(6)]
    print("ready", flush=True)
    sys.stdin.readline()
    found: Any = None
    if stage == "pickling the task":
        found = face.outcome(face.submit(square, WhenPickled(fault, *args)))
    elif stage == "unpickling the result":
        found = face.outcome(face.submit(give_unpickled, fault, *args))
    else:
        called = threading.Event()
        face.submit(square, 2, callback=lambda _: strike(called, fault, args))
        assert called.wait(20)
    assert stage == "callback" or isinstance(found, MemoryError), found
    after = [face.submit(square, number) for number in range(6)]
    assert [face.outcome(handle) for handle in before + after] == [number * number for number in range(6)] * 2
    face.close()
    print("done", flush=True)


def strike(called: threading.Event, fault: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        fault(*args)
    finally:
        called.set()


if __name__ == "__main__":
    program(*sys.argv[1:])
