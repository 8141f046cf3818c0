"""The two ends of a queue, for code that knows the standard library's queues from within: they have a pipe, with a reader and a
writer, and locks around these.

`concurrent.futures` and `multiprocessing.pool` wait for a queue's reader among other descriptors, and send and receive
through the ends. Ours has no descriptor; a reader that is asked for one opens a channel of our doorbell, which is readable
while there are messages.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from procession import _native
from procession.core import forkhooks

__all__ = ["Reader", "Writer", "unguarded"]


class _Unguarded:
    """A lock that guards nothing: a queue's own locks are in the shared memory."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *error: object) -> None:
        pass


unguarded = _Unguarded()


class Writer:
    """The end to which messages are sent."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def send(self, obj: Any) -> None:
        self._queue.put(obj)

    @property
    def closed(self) -> bool:
        closed: bool = self._queue._closed
        return closed

    def close(self) -> None:
        """Nothing: whoever closes only one end goes on using the other."""


class Reader:
    """The end from which messages are received."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._bell: _native.Bell | None = None
        self._fd = self._wait = -1

    @classmethod
    def of(cls, queue: Any) -> Reader:
        """The reader of this handle, always the same: it has a descriptor."""
        reader = _readers.get(queue)
        if reader is None:
            reader = _readers[queue] = cls(_Weak(queue))
        return reader

    def recv(self) -> Any:
        try:
            return _native.Queue.get(self._queue.there)
        finally:
            self._look()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether there is a message, within `timeout` seconds (None: for ever)."""
        queue = self._queue.there
        if not queue.empty() or (timeout is not None and timeout <= 0):
            return not queue.empty()
        from procession.process.waiting import wait

        return bool(wait([queue], timeout).done)

    def fileno(self) -> int:
        """A descriptor that is readable while there are messages."""
        if self._fd < 0:
            bell = _native.Bell()  # (which ends the wait, too, if we are interrupted here)
            self._wait = self._queue.there._watch(bell.number)
            self._bell, self._fd = bell, bell.fd
        self._look()
        return self._fd

    def _look(self) -> None:
        """Make the descriptor tell what is true now."""
        if self._fd < 0:
            return
        queue = self._queue.there
        with suppress(BlockingIOError):
            os.read(self._fd, 8)
        if queue._is_ready(self._wait):
            os.write(self._fd, (1).to_bytes(8, "little"))

    @property
    def closed(self) -> bool:
        closed: bool = self._queue.there._closed
        return closed

    def close(self) -> None:
        """Nothing: whoever closes only one end goes on using the other."""

    def _shut(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell, self._fd = None, -1


class _Weak:
    """What a reader knows of its queue: it does not keep it alive."""

    def __init__(self, queue: Any) -> None:
        from weakref import ref

        self._ref = ref(queue)

    @property
    def there(self) -> Any:
        queue = self._ref()
        if queue is None:
            raise OSError("handle is closed")
        return queue


_readers: WeakKeyDictionary[Any, Reader] = WeakKeyDictionary()


@forkhooks.after_in_child
def _forget() -> None:
    for reader in _readers.values():
        reader._fd = -1  # the parent's: its own waits are not ours
    _readers.clear()
