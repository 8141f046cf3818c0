"""Who shares, and by what: each rival's queues, pipes, numbers, dictionaries, arrays and segments, under the same names.

What a rival has not (or what is not installed) is said by `lacks`, and left out.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import Any

from rivals import OURS, OURS_SIMPLE

__all__ = ["Multiprocessing", "make_library"]


class Multiprocessing:
    """The standard library's, with fork: its children are there soonest, and nothing else depends on the start method."""

    requires: str | None = None  #: the module without which it is not there

    def __init__(self) -> None:
        self.context: Any = multiprocessing.get_context("fork")
        self._manager: Any = None
        resource_tracker.ensure_running()  # children that begin before it would each have one, which unlinks what we use

    def lacks(self, what: str) -> str | None:
        """Why it cannot be measured at that; None if it can."""
        if what in ("array", "own_array") and find_spec("numpy") is None:
            return "numpy is not installed"
        if self.requires and find_spec(self.requires) is None:
            return f"{self.requires} is not installed"
        return self._has_not(what)

    def _has_not(self, what: str) -> str | None:
        return None

    def process(self, target: Any, args: tuple[Any, ...]) -> Any:
        return self.context.Process(target=target, args=args)

    def queue(self) -> Any:
        return self.context.Queue()

    def pipe(self) -> Any:
        return self.context.Pipe()

    def value(self) -> Any:
        return self.context.Value("q", 0)

    def dict(self) -> Any:
        if self._manager is None:
            self._manager = self.context.Manager()
        return self._manager.dict()

    def segment(self, size: int) -> Any:
        from multiprocessing.shared_memory import SharedMemory

        return SharedMemory(create=True, size=size)

    def own_array(self, numbers: int) -> Any:
        raise NotImplementedError

    def drop(self, *things: Any) -> None:
        """Close what can be closed; a queue's helper thread, if it has one, has ended then."""
        for thing in things:
            for name in ("close", "join_thread"):
                if hasattr(thing, name):
                    getattr(thing, name)()

    def end(self) -> None:
        if self._manager is not None:
            self._manager.shutdown()


class Simple(Multiprocessing):
    """Its queue without a thread."""

    def queue(self) -> Any:
        return self.context.SimpleQueue()


#: What a scenario is about, and the name without which we have none.
_OUR_NAMES = {"queue": "Queue", "pipe": "Pipe", "value": "Value", "dict": "SharedDict", "array": "Queue", "own_array": "empty"}


class Ours(Multiprocessing):
    """procession."""

    def __init__(self) -> None:
        import procession

        super().__init__()
        self.context = procession

    def _has_not(self, what: str) -> str | None:
        there = _own_segments() if what == "segment" else hasattr(self.context, _OUR_NAMES[what])
        return None if there else "not there yet"

    def dict(self) -> Any:
        return self.context.SharedDict()

    def segment(self, size: int) -> Any:
        return _own_segments().SharedMemory(create=True, size=size)

    def own_array(self, numbers: int) -> Any:
        return self.context.empty((numbers,), "d")


class OursSimple(Ours):
    """Its other queue."""

    def queue(self) -> Any:
        return self.context.SimpleQueue()


def _own_segments() -> Any:
    for name in ("procession.shared_memory", "procession.share.shared_memory"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


class FasterFifo(Multiprocessing):
    """A queue in C++ over a ring of fixed size: here 64 MB, so that the big messages fit in."""

    requires = "faster_fifo"

    def queue(self) -> Any:
        from faster_fifo import Queue

        return Queue(max_size_bytes=64 << 20)


class Iceoryx2(Multiprocessing):
    """Publish and subscribe in Rust, for plain bytes."""

    requires = "iceoryx2"

    def queue(self) -> Any:
        from share_iceoryx2 import Service

        return Service()


class UltraDict(Multiprocessing):
    """A dictionary whose changes are a stream in shared memory; each process has a copy, and reads on.

    It is inherited by the children, lock and all. With room for the whole of it set aside: without, it fails in the children.
    """

    requires = "UltraDict"

    def dict(self) -> Any:
        from UltraDict import UltraDict as Shared

        return Shared(full_dump_size=1 << 20)


def make_library(rival: str) -> Multiprocessing:
    """By its name in rivals.py."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's threads would be there in every parent, idle
    classes = {OURS: Ours, OURS_SIMPLE: OursSimple, "mp_simple": Simple, "faster_fifo": FasterFifo, "iceoryx2": Iceoryx2,
               "ultradict": UltraDict}  # fmt: skip
    return classes.get(rival, Multiprocessing)()
