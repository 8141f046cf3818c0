"""States of a queue that can be waited for, beside the one that there is something to get, which is the queue itself."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.process.waitable import Waitable

__all__ = ["Joined", "Space"]


class _View(Waitable):
    """A state of a queue, for `procession.wait` and its kin. Two that stand for the same are equal."""

    _part = -1
    _needs_handle = True  # it cannot come any more once the queue's handle is closed: then it is reported

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def done(self) -> bool:
        """Whether it is so at this moment. Does not block."""
        raise NotImplementedError

    @property
    def _whole(self) -> Any:
        return self._queue if self._needs_handle else self

    def _watch(self, channel: int) -> int | None:
        wait: int = self._queue._await(self._part, channel)
        return wait

    def _is_ready(self, wait: int) -> bool:
        if self._is_gone() or self.done():
            return True
        _native.wait_again(wait)
        self._queue._announce(self._part)
        return self.done()

    def _unwatch(self, wait: int, reported: bool) -> None:
        if self._is_gone():
            _native.wait_abandon(wait)
        else:
            self._queue._give_up(self._part, wait)

    def _is_gone(self) -> bool:
        return self._needs_handle and bool(self._queue._closed)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, _View) and self._queue is other._queue

    def __hash__(self) -> int:
        return hash((type(self), id(self._queue)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._queue!r}>"


class Space(_View):
    """That a queue has room for a message: `Queue.space`."""

    _part = _native.PART_SPACE
    _takes_turns = True

    def done(self) -> bool:
        return not self._queue.full()


class Joined(_View):
    """That all tasks of a queue are done: `JoinableQueue.joined`. As for `join`, the handle may be closed."""

    _part = _native.PART_DONE
    _needs_handle = False

    def done(self) -> bool:
        return bool(self._queue._all_done())
