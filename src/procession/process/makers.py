"""What a context makes beside processes. The rooms where these live are above this one, and imported when they are used."""

from __future__ import annotations

from typing import Any

__all__ = ["MAKES", "Makers"]

#: Names of `multiprocessing` that are ours.
MAKES = (
    "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier", "Queue", "JoinableQueue", "SimpleQueue",
    "Pipe", "Value", "Array", "RawValue", "RawArray", "Manager", "Pool",
)  # fmt: skip


class Makers:
    """For contexts to derive from."""

    def Lock(self, *, on_owner_death: str = "warn") -> Any:
        """A lock that never outlives its holder; see `procession.sync.locks`."""
        from procession.sync.locks import Lock

        return Lock(ctx=self, on_owner_death=on_owner_death)

    def RLock(self, *, on_owner_death: str = "warn") -> Any:
        """A lock that its holder can take again; see `procession.sync.locks`."""
        from procession.sync.locks import RLock

        return RLock(ctx=self, on_owner_death=on_owner_death)

    def RWLock(self) -> Any:
        """A lock that readers share; see `procession.sync.rwlock`."""
        from procession.sync.rwlock import RWLock

        return RWLock(ctx=self)

    def Semaphore(self, value: int = 1, *, robust: bool = False) -> Any:
        """A number of permits; see `procession.sync.semaphores`."""
        from procession.sync.semaphores import Semaphore

        return Semaphore(value, ctx=self, robust=robust)

    def BoundedSemaphore(self, value: int = 1, *, robust: bool = True) -> Any:
        """A number of permits, never more than at first; see `procession.sync.semaphores`."""
        from procession.sync.semaphores import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self, robust=robust)

    def Condition(self, lock: Any = None) -> Any:
        """A condition variable; see `procession.sync.condition`."""
        from procession.sync.condition import Condition

        return Condition(lock, ctx=self)

    def Event(self) -> Any:
        """A flag to wait for; see `procession.sync.event`."""
        from procession.sync.event import Event

        return Event(ctx=self)

    def Barrier(self, parties: int, action: Any = None, timeout: float | None = None) -> Any:
        """A place to meet; see `procession.sync.barrier`."""
        from procession.sync.barrier import Barrier

        return Barrier(parties, action, timeout, ctx=self)

    def Pipe(self, duplex: bool = True) -> Any:
        """Two connections; see `procession.share.connection`."""
        from procession.share.connection import Pipe

        return Pipe(duplex)

    def RawValue(self, typecode_or_type: Any, *args: Any) -> Any:
        """A number in shared memory, without a lock; see `procession.share.sharedctypes`."""
        from procession.share.sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type: Any, size_or_initializer: Any) -> Any:
        """Numbers in shared memory, without a lock; see `procession.share.sharedctypes`."""
        from procession.share.sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        """A number in shared memory, with a lock; see `procession.share.sharedctypes`."""
        from procession.share.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self)

    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        """Numbers in shared memory, with a lock; see `procession.share.sharedctypes`."""
        from procession.share.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self)

    def Manager(self) -> Any:
        """A process that holds objects for others, started; see `procession.share.managers`."""
        from procession.share.managers import SyncManager

        context: Any = self
        manager = SyncManager(ctx=context)
        manager.start()
        return manager

    def Pool(
        self, processes: int | None = None, initializer: Any = None, initargs: Any = (), maxtasksperchild: int | None = None,
        *, max_memory_per_child: int | None = None, max_age_per_child: float | None = None, exit_function: Any = None,
        exit_args: Any = (), threads_per_worker: int | None = None,
    ) -> Any:  # fmt: skip
        """Workers that are given tasks, with the interface of `multiprocessing.Pool`; see `procession.pool.pool`."""
        from procession.pool.pool import Pool

        context: Any = self
        return Pool(
            processes, initializer, initargs, maxtasksperchild, context.get_context(),
            max_memory_per_child=max_memory_per_child, max_age_per_child=max_age_per_child, exit_function=exit_function,
            exit_args=exit_args, threads_per_worker=threads_per_worker,
        )  # fmt: skip

    def Queue(self, maxsize: int = 0, *, redeliver: bool = False) -> Any:
        """Messages between processes; see `procession.share.queues`."""
        from procession.share.queues import Queue

        return Queue(maxsize, ctx=self, redeliver=redeliver)

    def JoinableQueue(self, maxsize: int = 0, *, redeliver: bool = False) -> Any:
        """A queue with `task_done` and `join`; see `procession.share.queues`."""
        from procession.share.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self, redeliver=redeliver)

    def SimpleQueue(self) -> Any:
        """A queue with little more than `put` and `get`; see `procession.share.queues`."""
        from procession.share.queues import SimpleQueue

        return SimpleQueue(ctx=self)
