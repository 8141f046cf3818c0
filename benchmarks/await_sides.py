"""What the others do in the questions about awaiting. A module of its own, which every rival's processes import."""

from __future__ import annotations

import signal
import time
from typing import Any

from pool_tasks import same, wait_for
from sides import PATIENCE, clock

__all__ = ["answer_late", "nothing", "nothing_async", "same_async", "stand"]


def nothing() -> None:
    """Of a process that is there to be started, and ends."""


async def nothing_async() -> None:
    """The same, for who wants a coroutine function."""


async def same_async(thing: Any) -> Any:
    """What `same` does, for who wants a coroutine function."""
    return same(thing)


def stand(ready: str, release: str) -> None:
    """Tell our pid by one named pipe, then sleep until a byte comes by the other."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(4 * PATIENCE)  # whatever happens to the parent
    wait_for(ready, release)


def answer_late(*others: Any) -> None:
    """To each number that comes, give it and the moment, 2 ms later: who awaits that is asleep.

    `others`: a connection, or two queues; and how often.
    """
    *things, count = others
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)  # whatever happens to the parent
    receive, send = (things[0].get, things[1].put) if len(things) == 2 else (things[0].recv, things[0].send)
    for _ in range(count):
        number = receive()
        time.sleep(0.002)
        send((number, clock()))
