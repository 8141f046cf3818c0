"""Queue, JoinableQueue and SimpleQueue: messages in the family's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Full
from types import GenericAlias
from typing import Any

from procession import _native
from procession.core.counts import count_of
from procession.errors import Closed
from procession.process import callbacks
from procession.process.family import family
from procession.process.waitable import Waitable
from procession.share.ends import Reader, Writer, unguarded
from procession.share.views import Joined, Space
from procession.sync import tasks

__all__ = ["Closed", "Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]

#: What a bounded queue can be bounded by, as in the standard library.
_MOST = 2**31 - 1


class _Part:
    """One part of a queue, as what `procession.sync.tasks` waits for."""

    def __init__(self, queue: Any, part: int, for_ever: bool = False) -> None:
        self._queue = queue
        self._part = part
        self._for_ever = for_ever

    def _await(self, channel: int) -> int:
        wait: int = self._queue._await(self._part, channel, self._for_ever)
        return wait

    def _announce(self) -> None:
        self._queue._announce(self._part)

    def _give_up(self, wait: int) -> None:
        self._queue._give_up(self._part, wait)


class _Messages(Waitable, _native.Queue):
    """What all queues share. A handle, that pickles at any time; the copy stands for the same queue."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        family.ensure()
        return _native.queue_make(cls, 0, 0)

    def __reduce__(self) -> Any:
        return _native.queue_receive, (type(self), *self.parcel())

    def _raise_closed(self) -> None:
        """This handle was closed."""
        raise ValueError(f"Queue {self!r} is closed")

    def _failed(self, error: BaseException, obj: Any) -> bool:
        """`obj` cannot be written down. Whether that is settled, so that `put` does not raise."""
        return False

    # --- for procession.wait: a queue is done when there is something to get ---

    def _watch(self, channel: int) -> int | None:
        return self._await(_native.PART_WATCH, channel)

    def _is_ready(self, wait: int) -> bool:
        if self._closed:
            return True
        if self.empty() and not self._finished:
            _native.wait_again(wait)
            self._announce(_native.PART_WATCH)
        return not self.empty() or self._finished

    def _unwatch(self, wait: int, reported: bool) -> None:
        if self._closed:
            _native.wait_abandon(wait)
        else:
            self._give_up(_native.PART_WATCH, wait)

    # --- ends, as the standard library's queues have them ---

    @property
    def _reader(self) -> Reader:
        return Reader.of(self)

    @property
    def _writer(self) -> Writer:
        return Writer(self)

    _rlock = _wlock = unguarded

    def _poll(self, timeout: float = 0.0) -> bool:
        return self._reader.poll(timeout)

    # --- in an event loop ---

    async def get_async(self, timeout: float | None = None) -> Any:
        """`get` for an event loop: waits there without a thread. Cancelled, it has taken nothing. Raises as `get` does."""
        found: list[Any] = []

        def attempt() -> bool:
            try:
                found.append(_native.Queue.get(self, False))
            except Closed:
                raise
            except Empty:
                return False
            return True

        if not await tasks.take(_Part(self, _native.PART_ITEMS, timeout is None), attempt, timeout):
            raise Empty
        return found[0]

    async def put_async(self, obj: Any, timeout: float | None = None) -> None:
        """`put` for an event loop: waits for space there without a thread. Raises as `put` does."""

        def attempt() -> bool:
            try:
                _native.Queue.put(self, obj, False)
            except Full:
                return False
            return True

        if not await tasks.take(_Part(self, _native.PART_SPACE), attempt, timeout):
            raise Full


class Queue(_Messages):
    """A queue for threads and processes, as `multiprocessing.Queue`, without a thread of its own.

    `put` writes the message down in the caller, so what cannot be pickled raises there, and has put it when it returns: nothing
    is left to be flushed, and `join()` of a process that has put much does not wait. Messages may be of any size up to memory.
    Each is delivered whole or not at all, to one consumer, in the order in which they were put. Whoever dies, at whatever
    instruction, the queue stays usable. What a dead consumer had taken out and `get` had not returned is lost, and with
    ``redeliver=True`` given to another instead.

    ``maxsize`` > 0: `put` waits while there are as many messages. The queue can be sent to any process of the family at any
    time, also through queues, and lives as long as anybody has a handle of it, a copy in a message included.

    Closing: `close` says that this process puts nothing any more. When somebody has closed, the queue is empty, and every other
    process that has it has closed it, has ended, or waits in a `get` without time limit itself, then nobody is left who could
    put: `get` raises Closed (an Empty), and an iteration ends. A later `put` opens it again.

    A Ctrl-C interrupts a wait. Raises MemoryError when a message finds no memory; the queue is as it was then.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None, redeliver: bool = False) -> None:
        if not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be a number of messages (0: no limit); got {maxsize!r}")
        if maxsize > _MOST:
            raise ValueError(f"maxsize must be at most {_MOST} (0: no limit); got {maxsize}")
        self._configure(max(maxsize, 0), _native.REDELIVERS if redeliver else 0)

    def put_nowait(self, obj: Any) -> None:
        """``put(obj, block=False)``: raises Full at once when there is no space."""
        self.put(obj, False)

    def get_nowait(self) -> Any:
        """``get(block=False)``: raises Empty at once when there is nothing."""
        return self.get(False)

    def put_many(self, objects: Iterable[Any], block: bool = True, timeout: float | None = None) -> int:
        """Put all of them, in order and quicker than one by one; how many were put: fewer when there is no space and `block`
        is false, or for `timeout` seconds. If one cannot be pickled, none is put."""
        return self._put_many(list(objects), block, timeout)

    def get_many(self, most: int | None = None, block: bool = True, timeout: float | None = None) -> list[Any]:
        """All messages that are there, up to `most`; waits for the first as `get` does, and for no other."""
        if most is not None and (most := count_of(most, "most")) < 1:
            raise ValueError(f"most must be at least 1, or None for all; got {most!r}")
        first = [self.get(block, timeout)]
        return first + self._get_more(_MOST if most is None else most - 1)

    def __iter__(self) -> Iterator[Any]:
        """The messages, each taken out as it comes; ends when the queue is closed (see the class)."""
        while True:
            try:
                message = self.get()
            except Closed:
                return
            yield message

    @property
    def space(self) -> Space:
        """That there is room to put, as what can be waited for: for `procession.wait` and its kin."""
        return Space(self)

    def close(self) -> None:
        """This process puts and gets nothing any more through this handle. Does not block; may be called again."""
        callbacks.closing(self)
        self._close()

    def join_thread(self) -> None:
        """For code that was written for queues with a thread: there is none, nothing is left to be written."""
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """For code that was written for queues with a thread: does nothing."""

    def _failed(self, error: BaseException, obj: Any) -> bool:
        hook = type(self)._on_queue_feeder_error
        if hook is Queue._on_queue_feeder_error:
            return False
        self._on_queue_feeder_error(error, obj)
        return True

    @staticmethod
    def _on_queue_feeder_error(e: BaseException, obj: Any) -> None:
        """A class that has another one (as `concurrent.futures` does) gets here what `put` would have raised."""

    def _terminate_broken(self) -> None:
        """(For `concurrent.futures`, whose workers are dead.)"""
        self.close()

    def _start_thread(self) -> None:
        """(There is none.)"""

    __class_getitem__: Any = classmethod(GenericAlias)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.qsize()} messages"
        return f"<{type(self).__name__} at {self._place}, {state}>"


class JoinableQueue(Queue):
    """A queue whose messages are tasks: `join` waits until `task_done` was called for each, as in
    `multiprocessing.JoinableQueue`."""

    def task_done(self) -> None:
        """A task that was got is done. Raises ValueError if there is none that was not."""
        self._task_done()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all tasks that were put are done; False when `timeout` seconds passed before."""
        return self._join(timeout)

    @property
    def joined(self) -> Joined:
        """That all tasks are done, as what can be waited for: for `procession.wait` and its kin."""
        return Joined(self)

    async def join_async(self, timeout: float | None = None) -> bool:
        """`join` for an event loop."""
        return await tasks.take(_Part(self, _native.PART_DONE), self._all_done, timeout)


class SimpleQueue(_Messages):
    """A queue with the interface of `multiprocessing.SimpleQueue`, and no limit: `put` never waits for a reader."""

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    put = _native.Queue._put_simply  # type: ignore[assignment]
    get = _native.Queue._get_simply  # type: ignore[assignment]

    def empty(self) -> bool:
        """Whether there is no message at this moment."""
        if self._closed:
            self._raise_closed()
        return super().empty()

    def close(self) -> None:
        """This process uses this handle no more. May be called again."""
        callbacks.closing(self)
        self._close()

    def _raise_closed(self) -> None:
        raise OSError(f"{self!r} is closed")

    __class_getitem__: Any = classmethod(GenericAlias)

