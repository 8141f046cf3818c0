"""What the tests of shared memory have in common: how much there is, and processes that hold some of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession import _native
from procession.process.family import family
from procession.testing.watch import eventually


def import_numpy() -> Any:
    """numpy without threads of its own, which no test could end; the test is skipped where it is not installed."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return pytest.importorskip("numpy")


def used() -> int:
    """Bytes of the family's memory that are taken."""
    family.ensure()
    return int(_native.commons_facts()["arena_used"])


def back_to(before: int) -> None:
    """Wait until no more than that is taken. (Who was forked by the program itself is looked after when there is need.)"""
    _native.kin_scavenge()
    eventually(lambda: used() <= before, 10, f"{used() - before} bytes are given back")


def hold(pipe: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """In a child: call it, keep what it gives, say so, and wait to be told, or killed."""
    kept = function(*args)
    pipe.send("ready")
    pipe.recv()
    del kept


class Holder:
    """A process that has called `function`, and keeps what it gave until `end`, or `kill`."""

    def __init__(self, ctx: Any, function: Callable[..., Any], *args: Any) -> None:
        self.pipe, theirs = procession.Pipe()
        self.process = ctx.Process(target=hold, args=(theirs, function, args))
        self.process.start()
        theirs.close()
        assert self.pipe.poll(20)
        assert self.pipe.recv() == "ready"

    def end(self) -> None:
        self.pipe.send("end")
        self._join()
        assert self.process.exitcode == 0

    def kill(self) -> None:
        self.process.kill()
        self._join()

    def _join(self) -> None:
        self.process.join(20)
        self.pipe.close()
