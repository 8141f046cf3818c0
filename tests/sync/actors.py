"""Processes that do what they are told, one thing after the other; and what they tell of it."""

from __future__ import annotations

import mmap
import pickle
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import cloudpickle

import procession
from procession.testing.watch import eventually

_kept: list[Any] = []


def keep(thing: Any) -> None:
    """In an actor: hold on to it from this call to the next."""
    _kept.append(thing)


def kept() -> Any:
    """What was kept last."""
    return _kept[-1]


class Actor:
    """A child that calls what it is sent, in its main thread. What it is sent travels by value."""

    def __init__(self, context: Any = procession, **options: Any) -> None:
        self.pipe, theirs = procession.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.pipe), **options)
        self.process.start()
        theirs.close()

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        self.pipe.send_bytes(cloudpickle.dumps((function, args)))

    def end(self, timeout: float = 20) -> Any:
        """What the oldest call that was begun gave, or raised."""
        assert self.pipe.poll(timeout), f"{self.process.name} does not answer"
        good, value = pickle.loads(self.pipe.recv_bytes())
        if not good:
            raise value
        return value

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        self.begin(function, *args)
        return self.end()

    def busy(self) -> bool:
        """Whether what was begun has not ended."""
        return not self.pipe.poll(0)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def serve(pipe: Any, others: Any) -> None:
    others.close()
    while True:
        try:
            function, args = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        try:
            answer = True, function(*args)
        except BaseException as error:
            answer = False, error
        pipe.send_bytes(cloudpickle.dumps(answer))
        del function, args, answer


def told(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """What it gives, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = function(*args)
    return result, [warning.message for warning in seen]


def timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """What it gives, and how many seconds it took."""
    began = time.monotonic()
    return function(*args), time.monotonic() - began


def wait_for_waiters(thing: Any, count: int) -> None:
    eventually(lambda: len(thing.waiters) == count, what=f"{count} waiters of {thing!r}")


class Runner(threading.Thread):
    """A thread that calls one thing; `end` gives what that gave, or raises what it raised."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = function, args
        self._outcome: tuple[bool, Any] = False, AssertionError("it has not ended")
        self.start()

    def run(self) -> None:
        function, args = self._call
        try:
            self._outcome = True, function(*args)
        except BaseException as error:
            self._outcome = False, error

    def end(self, timeout: float = 20) -> Any:
        self.join(timeout)
        good, value = self._outcome
        if not good:
            raise value
        return value


class Numbers:
    """Whole numbers that processes share, in a file."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.count = path, count
        with open(path, "ab") as file:
            file.truncate(8 * count)
        with open(path, "r+b") as file:
            self.cells = memoryview(mmap.mmap(file.fileno(), 8 * count)).cast("q")

    def __reduce__(self) -> Any:
        return Numbers, (self.path, self.count)

    def __getitem__(self, index: int) -> int:
        return int(self.cells[index])

    def __setitem__(self, index: int, value: int) -> None:
        self.cells[index] = value


def do(kind: str, what: str, *args: Any) -> Any:
    """In an actor: call a method of one of the things that were kept; "read" and "write" are the sides of the RWLock."""
    thing = _kept[-1]["RWLock" if kind in ("read", "write") else kind]
    if kind in ("read", "write"):
        thing = thing.reading() if kind == "read" else thing.writing()
    return getattr(thing, what)(*args)
