"""Managers: processes that hold objects for others. As `multiprocessing.managers`, whose classes these are, on our processes.

The server never outlives the process that started it. When it is killed, whoever calls it, or waits in a call, gets an error
(EOFError, or an OSError such as ConnectionError), and so does every call after that.
"""

from __future__ import annotations

import queue
import threading
from multiprocessing import managers as mp_managers
from multiprocessing.managers import BaseProxy, Token
from typing import Any

from procession.process.context import default_context
from procession.share import shared_memory
from procession.share.proxies import EventProxy, LockProxy, OfferingServer, QueueProxy, call_async

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token", "call_async"]

_theirs: Any = mp_managers


class BaseManager(_theirs.BaseManager):  # type: ignore[misc]
    """`multiprocessing.managers.BaseManager`, whose server is a process of ours."""

    _Server = OfferingServer

    def __init__(
        self, address: Any = None, authkey: bytes | None = None, serializer: str = "pickle", ctx: Any = None, **more: Any
    ) -> None:
        super().__init__(address, authkey, serializer, ctx or default_context, **more)


class SyncManager(BaseManager, _theirs.SyncManager):  # type: ignore[misc]
    """What `Manager()` makes: dict, list, Namespace, Lock, Queue, Pool and the rest for others to use.

    Those of them whose methods wait can be awaited, by the names that our own classes have (`proxies`); but for RLock and
    Condition, which belong to a thread, and Barrier, where an arrival cannot be taken back.
    """


for _name, _callable in (("Lock", threading.Lock), ("Semaphore", threading.Semaphore),
                         ("BoundedSemaphore", threading.BoundedSemaphore)):
    SyncManager.register(_name, _callable, LockProxy)
SyncManager.register("Event", threading.Event, EventProxy)
SyncManager.register("Queue", queue.Queue, QueueProxy)
SyncManager.register("JoinableQueue", queue.Queue, QueueProxy)
SyncManager.register("Pool", default_context.Pool, _theirs.PoolProxy)


class _SharedMemoryTracker(_theirs._SharedMemoryTracker):  # type: ignore[misc]
    """The names that a server is to take away when it ends."""

    def __init__(self, name: str, segment_names: Any = ()) -> None:
        super().__init__(name, list(segment_names))

    def destroy_segment(self, segment_name: str) -> None:
        self.segment_names.remove(segment_name)
        segment = shared_memory.SharedMemory(segment_name)
        segment.close()
        segment.unlink()


class SharedMemoryServer(OfferingServer, _theirs.SharedMemoryServer):  # type: ignore[misc]
    """The server of a `SharedMemoryManager`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs: Any = vars(self)["shared_memory_context"]
        self.shared_memory_context = _SharedMemoryTracker(theirs.shared_memory_context_name)


class SharedMemoryManager(BaseManager, _theirs.SharedMemoryManager):  # type: ignore[misc]
    """Makes shared memory, and takes all of its names away when it ends."""

    _Server = SharedMemoryServer

    def __init__(
        self, address: Any = None, authkey: bytes | None = None, serializer: str = "pickle", ctx: Any = None, **more: Any
    ) -> None:
        # (past the class that would start a tracker: there is nothing to track)
        _theirs.BaseManager.__init__(self, address, authkey, serializer, ctx or default_context, **more)

    def _track(self, memory: shared_memory.SharedMemory) -> None:
        try:
            with self._Client(self._address, authkey=self._authkey) as conn:
                _theirs.dispatch(conn, None, "track_segment", (memory.name,))
        except BaseException:
            memory.unlink()
            raise

    def SharedMemory(self, size: int) -> shared_memory.SharedMemory:
        """New shared memory of `size` bytes."""
        self._check_started()
        memory = shared_memory.SharedMemory(None, create=True, size=size)
        self._track(memory)
        return memory

    def ShareableList(self, sequence: Any) -> shared_memory.ShareableList:
        """A new list of these values."""
        self._check_started()
        made: shared_memory.ShareableList = shared_memory.ShareableList(sequence)
        self._track(made.shm)
        return made

    def _check_started(self) -> None:
        if self._state.value != _theirs.State.STARTED:
            raise ValueError("the manager is not started")


def __getattr__(name: str) -> Any:
    """The rest is theirs: proxies, Namespace, Server."""
    return getattr(mp_managers, name)
