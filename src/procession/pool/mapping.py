"""`map` of an executor: the results of a stream, one after another."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from procession.core import loops
from procession.core.counts import count_of
from procession.core.seconds import timeout_of
from procession.pool import dropping, verdicts
from procession.pool import progress as bars
from procession.pool.options import Options
from procession.pool.piece import Failure
from procession.pool.streams import AHEAD, Stream

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["executor_map"]


def results(stream: Stream, deadline: float | None = None) -> Generator[Any, None, None]:
    """The results one by one; raises the first failure. Closes the stream."""
    try:
        while (piece := stream.next_piece(None if deadline is None else deadline - time.monotonic())) is not None:
            if piece.plain():
                yield piece.payload
                continue
            values = piece.values()
            del piece
            if isinstance(values, Failure):
                raise values.error
            values.reverse()
            while values:
                yield values.pop()
    except GeneratorExit:
        dropping.drop_stream(stream)  # (it may be garbage, found by whoever has whatever locks)
        raise
    except BaseException:
        stream.close()
        raise
    stream.close()


async def results_async(stream: Stream, timeout: float | None) -> AsyncIterator[Any]:
    """The same, in an event loop."""
    loop = loops.current()
    deadline = loop.deadline(timeout)
    try:
        while (piece := await stream.next_piece_async(deadline)) is not None:
            values = piece.values()
            del piece
            if isinstance(values, Failure):
                raise values.error
            values.reverse()
            while values:
                yield values.pop()
                await loop.checkpoint()
    finally:
        stream.close()


class Results(Iterator[Any]):
    """What `ProcessPoolExecutor.map` returns: to be iterated over, by ``for`` or by ``async for``, once."""

    __slots__ = ("_deadline", "_iterator", "_stream")

    def __init__(self, stream: Stream, deadline: float | None) -> None:
        self._stream = stream
        self._deadline = deadline
        self._iterator = results(stream, deadline)

    def __iter__(self) -> Iterator[Any]:
        return self._iterator  # (it is quicker than we)

    def __next__(self) -> Any:
        return next(self._iterator)

    def __aiter__(self) -> AsyncIterator[Any]:
        """The results, in an event loop, without a thread: the task that iterates reads the iterables as well."""
        deadline = self._deadline
        return results_async(self._stream, None if deadline is None else deadline - time.monotonic())

    def close(self) -> None:
        """Nobody wants the rest: what is not running is forgotten."""
        self._iterator.close()
        self._stream.close()


def executor_map(
    engine: Engine, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], timeout: float | None, chunksize: int,
    buffersize: int | None, progress: Any, options: Options,
) -> Results:  # fmt: skip
    """`ProcessPoolExecutor.map`."""
    if (chunksize := count_of(chunksize, "chunksize")) < 1:
        raise ValueError("chunksize must be >= 1.")
    if buffersize is not None and not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError("buffersize must be None or > 0")
    timeout = timeout_of(timeout)
    engine.check_open()
    deadline = None if timeout is None else timeout + time.monotonic()
    lengths = [_length(items) for items in iterables]
    length = None if None in lengths or not lengths else min(lengths)  # type: ignore[type-var]
    star = len(iterables) != 1
    stream = Stream(
        engine, fn, zip(*iterables, strict=False) if star else iterables[0], star=star, size=chunksize, ordered=True,
        options=options, error_of=lambda kind, payload: verdicts.loaded(payload), length=length if not star else None,
        ahead=buffersize or (None if length is not None else AHEAD * engine.settings.workers * chunksize),
        progress=None if progress is None else bars.make(progress, length), threads=length is not None and not star,
    )  # fmt: skip
    stream.feed()
    return Results(stream, deadline)


def _length(items: Any) -> int | None:
    try:
        return len(items)
    except TypeError:
        return None
