"""What a queue waits for before it is done: what was submitted and is still wanted, other attempts as well, and no more."""

from __future__ import annotations

import os
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gates import LIMIT

import procession
from procession import DispatchQueue, ProcessPoolExecutor
from procession.pool.future import Future
from procession.testing.watch import eventually
from spans import same


def dies_at_first(path: Path, gate: Any) -> str:
    """The first attempt waits at the gate."""
    if not path.exists():
        path.touch()
        gate.enter()
        os._exit(3)
    return "second"


def is_gone(queue: DispatchQueue) -> bool:
    return not queue._lane._lanes.open


@pytest.mark.parametrize("behind", [0, 3])
def test_another_attempt_is_waited_for(tmp_path: Path, gate: Any, behind: int) -> None:
    with DispatchQueue("serial") as queue:
        future = queue.with_options(retries=1).async_(dies_at_first, tmp_path / "died", gate)
        gate.wait()
        others = [queue.async_(same, i) for i in range(behind)]
        queue.close()
        gate.open.set()
        assert queue.join(LIMIT)
        assert future.done()
        assert all(other.done() for other in others)
    assert future.result(0) == "second"
    eventually(lambda: is_gone(queue), LIMIT, "an end of the lane")


def test_no_other_attempt_is_made_in_a_closed_queue_that_is_suspended(tmp_path: Path, gate: Any) -> None:
    with DispatchQueue("serial") as queue:
        future = queue.with_options(retries=1).async_(dies_at_first, tmp_path / "died", gate)
        gate.wait()
        queue.suspend()
        queue.close()
        gate.open.set()
        assert queue.join(LIMIT)
    with pytest.raises(CancelledError):
        future.result(0)
    eventually(lambda: is_gone(queue), LIMIT, "an end of the lane")


def test_suspended_while_somebody_waits_for_its_end(gate: Any) -> None:
    """What is taken back has not ended."""
    with ProcessPoolExecutor(1) as executor, ThreadPoolExecutor(1) as threads:
        other, queue = DispatchQueue("other", executor=executor), DispatchQueue("serial", executor=executor)
        keeps_the_worker = other.async_(gate.enter)
        gate.wait()
        waiting = [queue.async_(same, i) for i in range(3)]
        joined = threads.submit(lambda: (queue.join(LIMIT), [future.done() for future in waiting]))
        eventually(lambda: queue._lane._joins, LIMIT, "somebody who waits")
        queue.suspend()
        gate.open.set()
        keeps_the_worker.result(LIMIT)
        other.sync(same, 1)
        queue.resume()
        assert joined.result(LIMIT) == (True, [True] * 3)


def test_what_was_cancelled_is_not_waited_for() -> None:
    queue = DispatchQueue("serial")
    queue.suspend()
    futures = [queue.async_(same, i) for i in range(5)]
    for future in futures[1:]:
        future.cancel()
    assert not queue.join(0.01)
    futures[0].cancel()
    assert queue.join(0)
    assert queue._lane.outstanding() == 0


def test_a_barrier_that_was_cancelled_holds_nobody_up(gate: Any) -> None:
    queue = DispatchQueue("concurrent", True)
    running, barrier, behind = queue.async_(gate.enter), queue.barrier_async(same, 1), queue.async_(same, 2)
    gate.wait()
    assert not behind.done()
    barrier.cancel()
    assert behind.result(LIMIT) == 2
    gate.open.set()
    running.result(LIMIT)


def test_what_comes_later_to_a_suspended_queue_that_was_dropped() -> None:
    queue = DispatchQueue("serial")
    queue.suspend()
    future = queue.after(0.05, same, 1)
    lane = queue._lane
    del queue
    with pytest.raises(CancelledError):
        future.result(LIMIT)
    eventually(lambda: not lane._lanes.open, LIMIT, "an end of the lane")


def test_what_was_to_come_and_was_cancelled_keeps_no_queue() -> None:
    queue = DispatchQueue("serial")
    future = queue.after(1000, same, 1)
    lane = queue._lane
    del queue
    eventually(lambda: lane.closed, LIMIT, "somebody who closes it")
    assert lane._lanes.open
    future.cancel()
    assert not lane._lanes.open


def close_it(queue: DispatchQueue) -> Future:
    queue.suspend()
    return queue.async_(same, 1)


def close_what_comes_later(queue: DispatchQueue) -> Future:
    return queue.after(1000, same, 1)


def close_what_a_group_notifies(queue: DispatchQueue) -> Future:
    group = queue.group()
    group.enter()
    future = group.notify(queue, same, 1)
    queue.__dict__["close"] = lambda: (DispatchQueue.close(queue), group.leave())
    return future


@pytest.mark.parametrize("submit", [close_it, close_what_comes_later, close_what_a_group_notifies])
def test_who_waits_for_what_is_cancelled_is_told_at_once(submit: Any) -> None:
    queue = DispatchQueue("serial")
    future = submit(queue)
    with ThreadPoolExecutor(1) as threads:
        waited = threads.submit(future.exception, LIMIT)
        eventually(lambda: queue._engine.collector._lead.held, LIMIT, "somebody who waits")
        queue.close()
        assert isinstance(waited.exception(LIMIT / 4) or waited.result(), (CancelledError, RuntimeError))


def test_the_global_queue_is_not_suspended_from_a_block() -> None:
    shared, queue = procession.global_queue(), DispatchQueue("serial")
    with pytest.raises(RuntimeError, match="is everybody's and cannot be suspended"):
        queue.sync(shared.suspend)
    with pytest.raises(RuntimeError, match="is everybody's"):
        queue.sync(shared.with_options(retries=1).suspend)
    assert shared.sync(same, 1) == 1
