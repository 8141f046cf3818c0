"""DispatchGroup."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest
from gates import LIMIT

import procession
from procession import DispatchGroup, DispatchQueue
from spans import same


def test_it_waits_for_all_blocks_of_all_queues(gates: Any) -> None:
    group, queues = DispatchGroup(), [DispatchQueue("a"), DispatchQueue("b", True)]
    doors = gates(2)
    futures = [group.async_(queue, gate.enter, i) for i, (queue, gate) in enumerate(zip(queues, doors, strict=True))]
    assert not group.wait(0.01)
    doors[0].open.set()
    assert futures[0].result(LIMIT) == 0
    assert not group.wait(0.01)
    doors[1].open.set()
    assert group.wait(LIMIT)
    assert futures[1].done()


def test_a_block_that_fails_or_is_cancelled_has_ended(gate: Any) -> None:
    queue, group = DispatchQueue("serial"), DispatchGroup()
    first = group.async_(queue, gate.enter)
    gate.wait()
    failing, waiting = group.async_(queue, divmod, 1, 0), group.async_(queue, same, 1)
    unpicklable = group.async_(queue, same, (x for x in ()))
    assert waiting.cancel()
    gate.open.set()
    assert group.wait(LIMIT)
    assert [future.exception() is None for future in (first, failing, unpicklable)] == [True, False, False]
    queue.close()
    with pytest.raises(RuntimeError, match="closed"):
        group.async_(queue, same, 1)
    assert group.wait(0)


def test_by_hand() -> None:
    group = DispatchGroup()
    assert group.wait(0)
    group.enter()
    group.enter()
    group.leave()
    assert not group.wait(0)
    assert repr(group) == "<DispatchGroup, 1 under way>"
    group.leave()
    assert group.wait(0)
    with pytest.raises(RuntimeError, match="more often"):
        group.leave()


def test_notify_comes_when_it_is_empty(gate: Any) -> None:
    queue, group = DispatchQueue("a", True), DispatchQueue("b").group()
    out = procession.SimpleQueue()
    group.async_(queue, gate.enter)
    notices = [group.notify(queue, out.put, i) for i in range(3)]
    gate.wait()
    queue.sync(out.put, "before")
    gate.open.set()
    for notice in notices:
        notice.result(LIMIT)
    assert next(out.get() for _ in range(4)) == "before"
    assert group.notify(queue, same, 5).result(LIMIT) == 5
    group.enter()
    cancelled, closed = group.notify(queue, same, 6), group.notify(queue, same, 7)
    assert cancelled.cancel()
    queue.close()
    group.leave()
    assert isinstance(closed.exception(LIMIT), RuntimeError)


def test_it_is_waited_for_with_others_and_awaited(gate: Any) -> None:
    queue, group = DispatchQueue("a"), DispatchGroup()
    group.async_(queue, gate.enter)
    gate.wait()
    assert procession.wait([group], 0.01).not_done == {group}

    async def main() -> bool:
        assert not await group.wait_async(0.01)
        DispatchQueue("b").after(0.02, gate.open.set)
        return await group

    assert asyncio.run(main())
    assert procession.wait([group, queue.async_(same, 1)], LIMIT).not_done == set()


def test_a_with_waits() -> None:
    queue = DispatchQueue("a")
    with queue.group() as group:
        futures = [group.async_(queue, same, i) for i in range(100)]
    assert all(future.done() for future in futures)


def test_threads_share_it() -> None:
    group = DispatchGroup()

    def cycle() -> None:
        for _ in range(200):
            group.enter()
            group.leave()

    threads = [threading.Thread(target=cycle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert group.wait(0)


def test_it_is_not_sent() -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        pickle.dumps(DispatchGroup())
