"""A queue of another process, as blocks have it that run in the workers of its pool."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from procession.core import codec
from procession.dispatch.guests import Ask, Reply, written
from procession.dispatch.link import FarFuture, Link, link_here, waiter
from procession.dispatch.queue import DispatchQueue, check_block
from procession.pool import worker
from procession.pool.functions import received, sent
from procession.pool.options import PLAIN, Options

__all__ = ["FarQueue"]


class FarQueue(DispatchQueue):
    """A DispatchQueue of the process whose worker this is; elsewhere what it is asked for raises."""

    _is_far = True
    _pid: int
    _far: tuple[int, int]

    @classmethod
    def _of(cls, pid: int, place: tuple[int, int], facts: Any, options: Options) -> FarQueue:
        self = object.__new__(cls)
        self._pid, self._far, self._facts, self._options = pid, place, facts, options
        return self

    def __init__(self) -> None:
        raise TypeError("made by unpickling")

    def _connect(self) -> Link:
        here = worker.myself()
        if here is None or here.pid != os.getpid() or here.results._place != self._far[0]:
            raise RuntimeError(
                f"the queue {self.name!r} belongs to process {self._pid}: only that and the workers of its pool can use it; "
                f"this is {os.getpid()}"
            )
        return link_here()

    @property
    def target(self) -> DispatchQueue | None:
        raise RuntimeError(f"the target of {self.name!r} is known in its own process, {self._pid}")

    def _block(self, f: Any, args: Any, kwargs: Any, barrier: bool) -> Any:
        check_block(f)
        future = FarFuture(self._connect())
        try:
            given = (sent(args[0]), *args[1:]) if f is _calls else args
            data = codec.dumps((sent(f), given, kwargs), whole=True)[0]
            name = getattr(args[0] if f is _calls else f, "__qualname__", None)
            future._written = barrier, name if type(name) is str else None, data  # type: ignore[attr-defined]
        except Exception as error:
            future.set_result((Reply.FAILED, written(error)))
        return future

    def _submit(self, block: Any) -> Any:
        return self._send(block, None, -1)

    def _submit_at(self, block: Any, when: float) -> Any:
        return self._send(block, max(when - time.monotonic(), 0.0), -1)

    _submit_late = _submit

    def _send(self, block: FarFuture, delay: float | None, who: int) -> FarFuture:
        if not block.is_over():
            barrier, name, data = block.__dict__.pop("_written")
            options = None if self._options is PLAIN else tuple(self._options)
            block.link.call(block, Ask.CALL, self._far[1], barrier, delay, who, options, name, data)
        return block

    def _sync(self, f: Any, args: Any, kwargs: Any, barrier: bool) -> Any:
        future = self._block(f, args, kwargs, barrier)
        try:
            self._send(future, None, waiter())
            future.link.wait_for(future, None, told=True)
            return future.result()
        except BaseException:
            if not future.is_over():
                future.cancel()
            raise
        finally:
            del future  # (no circle with the traceback)

    def _piece(self, f: Any, begin: int, end: int) -> Any:
        check_block(f)
        return self._block(_calls, (f, begin, end), {}, False)

    def _most(self) -> int:
        return self.width or os.cpu_count() or 1

    def suspend(self) -> None:
        self._check_own("suspended")
        self._tell(Ask.SUSPEND)

    def resume(self) -> None:
        self._tell(Ask.RESUME)

    def _tell(self, ask: Ask) -> None:
        future = FarFuture(self._connect())
        future.link.call(future, ask, self._far[1])
        future.link.wait_for(future, None, told=True)
        future.result()

    def close(self, *, cancel: bool = False, stop: bool = False) -> None:
        raise RuntimeError(f"the queue {self.name!r} belongs to process {self._pid}, which closes it")

    def join(self, timeout: float | None = None) -> bool:
        raise RuntimeError(f"the queue {self.name!r} belongs to process {self._pid}, which waits for it")

    def _check_adoptable(self) -> None:
        raise RuntimeError(f"the queue {self.name!r} belongs to process {self._pid}, and cannot be adopted here")

    def _state(self) -> str:
        return f", of process {self._pid}"

    def __reduce__(self) -> Any:
        from procession.dispatch.queue import _revive

        return _revive, (self._pid, self._far, self._facts, self._options)


def _calls(f: Callable[[int], Any], begin: int, end: int) -> list[Any]:
    call = received(f)
    return [call(i) for i in range(begin, end)]
