"""Blocks that would wait for each other in a circle are told so; what only looks like one gets on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from gates import LIMIT, concurrent_, serial

import procession
from procession import DispatchDeadlock, DispatchGroup, WorkerDied, global_queue
from procession.testing.watch import eventually
from spans import same


def circle_of_one() -> None:
    queue = serial("a")
    queue.sync(lambda: queue.sync(same, 1))


def circle_by_another() -> None:
    queue, other = serial("a"), concurrent_("b")
    queue.sync(lambda: other.sync(lambda: queue.sync(same, 1)))


def circle_by_a_target() -> None:
    target = serial("t")
    queue, other = serial("a", target=target), concurrent_("b", target=target)
    queue.sync(lambda: other.sync(same, 1))


def circle_to_the_target() -> None:
    target = serial("t")
    queue = serial("a", target=target)
    queue.sync(lambda: target.sync(same, 1))


def circle_from_the_target() -> None:
    target = serial("t")
    queue = serial("a", target=target)
    target.sync(lambda: queue.sync(same, 1))


def circle_of_a_result() -> None:
    queue = serial("a")
    queue.sync(lambda: queue.async_(same, 1).result())


def circle_of_a_barrier() -> None:
    queue = concurrent_("a")
    queue.sync(lambda: queue.barrier_sync(same, 1))


def circle_in_a_barrier() -> None:
    queue = concurrent_("a")
    queue.barrier_sync(lambda: queue.sync(same, 1))


def circle_behind_a_barrier() -> None:
    queue = concurrent_("a")
    queue.sync(lambda: (queue.barrier_async(same, 1), queue.sync(same, 1)))


def circle_of_a_full_queue() -> None:
    queue = concurrent_("a", width=2)
    queue.sync(lambda: queue.sync(lambda: queue.sync(same, 1)))


def circle_of_a_barrier_on_the_target() -> None:
    target = concurrent_("t")
    queue = concurrent_("a", target=target)
    queue.sync(lambda: target.barrier_sync(same, 1))


def circle_in_a_barrier_on_the_target() -> None:
    target = concurrent_("t")
    queue = concurrent_("a", target=target)
    target.barrier_sync(lambda: queue.sync(same, 1))


def circle_behind_a_barrier_on_the_target() -> None:
    target = concurrent_("t")
    queue = concurrent_("a", target=target)
    queue.sync(lambda: (target.barrier_async(same, 1), queue.sync(same, 1)))


def circle_behind_a_barrier_from_the_target() -> None:
    target = concurrent_("t")
    queue = concurrent_("a", target=target)
    target.sync(lambda: (target.barrier_async(same, 1), queue.sync(same, 1)))


def circle_of_a_group() -> None:
    queue = serial("a")

    def block() -> None:
        with DispatchGroup() as group:
            group.async_(queue, same, 1)

    queue.sync(block)


def circle_of_an_await() -> None:
    queue = serial("a")

    async def block() -> None:
        await queue.async_(same, 1)

    queue.async_(block).result(LIMIT)


def circle_of_an_await_with_a_limit() -> None:
    queue = serial("a")

    async def block() -> None:
        async with asyncio.timeout(60):
            await queue.async_(same, 1).exception_async(30)

    queue.async_(block).result(LIMIT)


def circle_of_an_awaited_group() -> None:
    queue = serial("a")

    async def block() -> None:
        group = DispatchGroup()
        group.async_(queue, same, 1)
        await group.wait_async(60)

    queue.async_(block).result(LIMIT)


CIRCLES = [value for name, value in list(globals().items()) if name.startswith("circle_")]


@pytest.mark.parametrize("circle", CIRCLES, ids=lambda circle: circle.__name__)
def test_a_block_that_would_wait_for_itself_is_told(circle: Callable[[], None]) -> None:
    with pytest.raises(DispatchDeadlock) as caught:
        circle()
    assert caught.value.queue in caught.value.chain
    assert len(caught.value.chain) >= 2
    assert global_queue().sync(same, 1) == 1


def test_two_that_wait_for_each_other() -> None:
    queues = [serial("a"), serial("b")]
    begun = [procession.Event(), procession.Event()]

    def block(me: int) -> str:
        begun[me].set()
        assert begun[1 - me].wait(LIMIT)
        try:
            return queues[1 - me].sync(same, "through")
        except DispatchDeadlock as error:
            return " ".join(error.chain)

    futures = [queues[i].async_(block, i) for i in range(2)]
    answers = sorted(future.result(LIMIT) for future in futures)
    assert answers in (["a b", "through"], ["b a", "through"], ["a b a", "through"], ["b a b", "through"])


@pytest.mark.parametrize("dies", [False, True])
def test_a_barrier_behind_which_a_queue_s_service_ends(gates: Any, dies: bool) -> None:
    """A block waits for another that comes before the barrier, as long as somebody else serves their queue."""
    target = concurrent_("t")
    queue = concurrent_("a", width=2, target=target)
    first, second = gates(2)

    def block() -> Any:
        first.enter()
        try:
            return queue.sync(same, "through")
        except DispatchDeadlock as error:
            return error.chain

    def beside() -> None:
        second.enter()
        if dies:
            os._exit(3)

    answer, other = queue.async_(block), queue.async_(beside)
    first.wait()
    second.wait()
    barrier = target.barrier_async(same, "alone")
    first.open.set()
    eventually(lambda: len(queue._lane.held) == 3, LIMIT, "the third block")
    second.open.set()
    assert answer.result(LIMIT) == (("a", "a") if dies else "through")
    assert barrier.result(LIMIT) == "alone"
    assert isinstance(other.exception(LIMIT), WorkerDied) == dies
    assert queue.sync(same, 1) == 1


def test_what_only_looks_like_a_circle() -> None:
    queue, wide = serial("a"), concurrent_("b", width=2)
    assert queue.sync(lambda: wide.sync(lambda: wide.sync(same, 1))) == 1
    assert queue.sync(lambda: [queue.async_(same, 2).done(), wide.barrier_sync(same, 3)]) == [False, 3]
    for _ in range(3):
        assert wide.barrier_sync(lambda: queue.sync(same, 4)) == 4
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda i: queue.sync(lambda: wide.sync(same, i)) == i, range(40)))


@pytest.mark.parametrize("below", [False, True])
def test_a_barrier_that_was_cancelled_bars_nobody(gate: Any, below: bool) -> None:
    """Wherever it stands: neither those behind it, nor, in the queue's target, the queue."""
    target = concurrent_("t", width=2)
    queue = concurrent_("a", width=2, target=target) if below else target

    def block() -> Any:
        gate.enter()
        return queue.sync(same, "behind")

    waits = queue.async_(block)
    gate.wait()
    target.suspend()
    first, barrier = target.async_(same, "first"), target.barrier_async(same, "alone")
    assert barrier.cancel()
    gate.open.set()
    guests: Any = target._engine.guests
    eventually(lambda: guests.waits.workers() or waits.done(), LIMIT, "a wait")
    target.resume()
    assert waits.result(LIMIT) == "behind"
    assert first.result(LIMIT) == "first"


def test_a_block_that_is_being_stopped_keeps_its_place_no_longer(gates: Any) -> None:
    queue = concurrent_("a", width=2)
    doors = gates(2)

    def block(i: int) -> Any:
        doors[i].enter()
        return queue.sync(same, i)

    blocks = [queue.async_(block, i) for i in range(2)]
    for door in doors:
        door.wait()
    queue.suspend()
    doors[0].open.set()
    guests: Any = queue._engine.guests
    eventually(lambda: [who for who, _ in guests.waits._waits.values()] == [blocks[0]], LIMIT, "a wait")
    (worker,) = {worker for worker, _ in guests.waits._waits}
    pid = queue._engine.crew.members[worker].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert blocks[0].cancel()
        doors[1].open.set()
        eventually(lambda: blocks[1].done() or guests.waits.workers() == 2, LIMIT, "another wait")
    finally:
        os.kill(pid, signal.SIGCONT)
    queue.resume()
    assert blocks[1].result(LIMIT) == 1
