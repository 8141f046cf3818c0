"""Futures in event loops: the same forms for those of a pool's program and those that its tasks have."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from procession.core import awaited, loops

__all__ = ["Awaiting"]


class Awaiting:
    """What is awaited of a `concurrent.futures.Future` whose `cancel` stops what runs."""

    __slots__ = ()

    if TYPE_CHECKING:

        def result(self, timeout: float | None = None) -> Any: ...
        def exception(self, timeout: float | None = None) -> BaseException | None: ...
        def cancel(self) -> bool: ...

    def _check_here(self) -> None:
        """Raises where it cannot be awaited."""

    def __await__(self) -> Generator[Any, None, Any]:
        """In an event loop: ``await future``. When the await is cancelled, the task is stopped, as `cancel` does it. Raises as
        `result` does: also in asyncio, a task that was cancelled by others raises `concurrent.futures.CancelledError`."""
        return self.result_async().__await__()

    async def result_async(self, timeout: float | None = None, *, stop: bool = True) -> Any:
        """`result` for an event loop: waits there without a thread. Unless ``stop=False``, the task is stopped, as `cancel`
        does it, when the await is cancelled or `timeout` seconds are over. Raises as `result` does."""
        await self._ended(timeout, stop)
        try:
            return self.result(0)
        finally:
            del self  # (no circle with the traceback)

    async def exception_async(self, timeout: float | None = None, *, stop: bool = True) -> BaseException | None:
        """`exception` for an event loop; otherwise as `result_async`."""
        await self._ended(timeout, stop)
        return self.exception(0)

    async def _ended(self, timeout: float | None, stop: bool) -> None:
        deadline = loops.current().deadline(timeout)
        self._check_here()
        try:
            if await self.await_end(deadline):
                return
        except BaseException:
            if stop:
                self.cancel()
            raise
        if not stop or self.cancel():  # (else it has ended just now)
            raise TimeoutError

    async def await_end(self, deadline: float | None) -> bool:
        """False: `deadline` came before."""
        return await awaited.done(self, deadline)
