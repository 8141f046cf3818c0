"""A piece of a stream: some items, as one task."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.pool.messages import Kind
from procession.pool.task import Task

if TYPE_CHECKING:
    from procession.pool.streams import Stream

__all__ = ["Failure", "Piece"]


class Failure:
    """An outcome that is an error."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Piece(Task):
    """Some items, from `index` on, as one task."""

    __slots__ = ("count", "index", "kind", "lane", "order", "payload", "stream")

    stream: Stream
    order: int
    index: int
    count: int
    kind: int
    payload: Any
    lane: Any

    def end(self, kind: int, payload: Any, seconds: float) -> None:
        self.kind, self.payload = kind, payload
        self.stream.ended(self, seconds)

    def fail(self, error: BaseException) -> None:
        self.kind, self.payload = 0, error
        self.stream.ended(self, 0.0)

    def begin(self) -> bool:
        return not self.stream.closed

    def plain(self) -> bool:
        """Whether `payload` is the one item's result."""
        return self.kind == Kind.VALUE and type(self.payload) is not _native.Message and not self.stream.batched

    def values(self) -> list[Any] | Failure:
        """The results of its items. In the thread of who wants them: this unpickles."""
        kind, payload = self.kind, self.payload
        self.payload = None
        try:
            if type(payload) is _native.Message:
                payload = payload.load()
            if kind == Kind.VALUE:
                return payload if self.stream.batched else [payload]
            if kind == Kind.STOPPED:
                return Failure(CancelledError("the task stopped itself"))
            return Failure(self.stream.error_of(kind, payload) if kind else payload)
        except BaseException as error:
            return Failure(error)
