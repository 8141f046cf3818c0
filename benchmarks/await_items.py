"""Items from another process, awaited: of two queues or of a connection, in the event loop of the rival's parent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import await_sides as sides
from rivals import OURS
from share_measuring import WAKE_ROUNDS, Sharing
from sides import clock

__all__ = ["Items"]

_Ways = tuple[Callable[[Any], object], Callable[[], Awaitable[Any]], Callable[[], None]]


class Items(Sharing):
    """`Sharing`'s exchange with another process, on this side in an event loop."""

    def __init__(self, rival: str, runner: asyncio.Runner) -> None:
        super().__init__(rival)
        self._runner = runner

    def late(self, by: str, count: int) -> list[int]:
        """Nanoseconds from before an item is put to its being here, on average: it is put when the loop has fallen asleep."""
        things = self._library.pipe() if by == "pipe" else (self._library.queue(), self._library.queue())
        there, back, others = (things[0], things[0], things[1:]) if by == "pipe" else (*things, things)
        child = self._start(sides.answer_late, *others, WAKE_ROUNDS + count)
        taken = self._runner.run(self._awaited_late(by, there, back, count))
        self._join(child)
        self._library.drop(*things)
        return [taken // count]

    async def _awaited_late(self, by: str, there: Any, back: Any, count: int) -> int:
        send, receive, stop = self._ways(by, there, back)
        taken = 0
        for i in range(WAKE_ROUNDS + count):
            send(i)
            number, put = await receive()
            now = clock()
            if number != i:
                raise RuntimeError(f"what came is {number}, not {i}")
            if i >= WAKE_ROUNDS:
                taken += now - put
        stop()
        return taken

    def _stay(self, cores: Collection[int]) -> None:
        """With all threads: some rivals have one in between."""
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), cores)

    def _exchange(self, by: str, there: Any, back: Any, data: Any, count: int) -> int:
        return self._runner.run(self._awaited(by, there, back, data, count))

    async def _awaited(self, by: str, there: Any, back: Any, data: Any, count: int) -> int:
        send, receive, stop = self._ways(by, there, back)
        begin = 0
        for i in range(WAKE_ROUNDS + count):
            if i == WAKE_ROUNDS:
                begin = clock()
            send(data)
            got = await receive()
        end = clock()
        stop()
        if got != data:
            raise RuntimeError("what came back is not what was sent")
        return end - begin

    def _ways(self, by: str, there: Any, back: Any) -> _Ways:
        """To send, to await what comes, and to stop with that."""
        loop = asyncio.get_running_loop()
        if by == "pipe" and self._rival != OURS:
            reader = _Reader(back)
            return there.send, reader.receive, reader.stop
        if by == "pipe":
            return there.send, back.recv_async, _nothing
        if self._rival == OURS:
            return there.put, back.get_async, _nothing
        return there.put, lambda: loop.run_in_executor(None, back.get), _nothing


class _Reader:
    """multiprocessing's connection, read when the loop says that something is there. (recv() blocks until all of it is.)"""

    def __init__(self, connection: Any) -> None:
        self._connection, self._loop = connection, asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._read)

    def receive(self) -> asyncio.Future[Any]:
        self._told = self._loop.create_future()
        return self._told

    def _read(self) -> None:
        self._told.set_result(self._connection.recv())

    def stop(self) -> None:
        self._loop.remove_reader(self._connection.fileno())


def _nothing() -> None:
    """There is nothing to stop."""
