"""Dispatch queues from the program's side: order, overlap, barriers, time, suspension, targets, and their end."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest
from gates import LIMIT

import procession
from procession import DispatchQueue, ProcessPoolExecutor, TaskTimeout, dispatch, global_queue
from procession.testing.watch import eventually
from spans import overlaps, same, slow_put, span, sync_in

SHORT = "PROCESSION_SHORT" in os.environ


# --- the four combinations ---


def test_a_serial_queue_does_one_after_another_in_order() -> None:
    queue = DispatchQueue("serial")
    futures = [queue.async_(span, i) for i in range(500)]
    spans = [future.result(LIMIT) for future in futures]
    assert [each[0] for each in spans] == list(range(500))
    assert spans == sorted(spans, key=lambda each: each[2])
    assert overlaps(spans) == 0


def test_a_concurrent_queue_does_several_at_a_time(gates: Any) -> None:
    queue = DispatchQueue("concurrent", True)
    first, second = gates(2)
    futures = [queue.async_(first.enter, 1), queue.async_(second.enter, 2)]
    first.wait()
    second.wait()
    first.open.set()
    second.open.set()
    assert [future.result(LIMIT) for future in futures] == [1, 2]


def test_sync_waits_and_returns_or_raises() -> None:
    for queue in (DispatchQueue("serial"), DispatchQueue("concurrent", True)):
        assert queue.sync(divmod, 7, 2) == (3, 1)
        assert queue.sync(int, "ff", base=16) == 255
        with pytest.raises(ZeroDivisionError):
            queue.sync(divmod, 1, 0)


def test_sync_comes_after_what_was_submitted_before() -> None:
    queue, out = DispatchQueue("serial"), procession.SimpleQueue()
    for i in range(50):
        queue.async_(out.put, i)
    queue.sync(out.put, 50)
    assert [out.get() for _ in range(51)] == list(range(51))


def test_in_an_event_loop() -> None:
    queue = DispatchQueue("serial")

    async def main() -> list[int]:
        return await asyncio.gather(*(asyncio.wrap_future(queue.async_(same, i)) for i in range(5)), queue.async_(same, 5))

    assert asyncio.run(main()) == list(range(6))


@pytest.mark.parametrize("count", [20_000 if SHORT else 100_000])
def test_very_many_tiny_blocks_in_order(count: int) -> None:
    def note(i: int) -> bool:
        state = procession.current_worker().state  # type: ignore[union-attr]
        state["last"], last = i, state.get("last", -1)
        return i > last

    queue = DispatchQueue("serial")
    futures = [queue.async_(note, i) for i in range(count)]
    assert all(future.result(LIMIT) for future in futures)


# --- barriers, width ---


def test_a_barrier_runs_alone_in_its_place() -> None:
    queue = DispatchQueue("concurrent", True, width=2)
    kinds = [queue.barrier_async if i % 4 == 3 else queue.async_ for i in range(24)]
    futures = [submit(span, i, 0.001) for i, submit in enumerate(kinds)]
    assert queue.barrier_sync(same, 1) == 1
    assert all(future.done() for future in futures)
    spans = [future.result() for future in futures]
    for i in range(3, 24, 4):
        assert all(each[3] <= spans[i][2] for each in spans[:i])
        assert all(each[2] >= spans[i][3] for each in spans[i + 1 :])


def test_a_barrier_in_a_serial_queue_is_a_block_like_others() -> None:
    queue, out = DispatchQueue("serial"), procession.SimpleQueue()
    for i in range(20):
        (queue.barrier_async if i % 3 else queue.async_)(out.put, i)
    assert queue.barrier_sync(same, 1) == 1
    assert [out.get() for _ in range(20)] == list(range(20))


# --- after ---


def test_after_is_not_before_and_keeps_the_order_of_time() -> None:
    queue = DispatchQueue("serial")
    began = time.monotonic()
    late, soon, now = (queue.after(delay, time.monotonic) for delay in (0.06, 0.03, 0))
    assert began <= now.result(LIMIT) < soon.result(LIMIT) < late.result(LIMIT)
    assert soon.result() >= began + 0.03
    assert late.result() >= began + 0.06


def test_what_comes_later_is_cancelled() -> None:
    queue = DispatchQueue("serial")
    by_hand, by_close = queue.after(0.05, os._exit, 1), queue.after(3600, same, 1)
    assert by_hand.cancel()
    due = queue.after(0.06, same, 2)
    assert due.result(LIMIT) == 2
    queue.close()
    assert by_hand.cancelled()
    assert by_close.cancelled()
    assert queue.join(LIMIT)


def test_what_comes_later_outlives_the_queue_s_last_reference() -> None:
    assert DispatchQueue("forgotten").after(0.02, same, 3).result(LIMIT) == 3


# --- apply ---


@pytest.mark.parametrize("concurrent", [False, True])
def test_apply(concurrent: bool) -> None:
    queue = DispatchQueue("queue", concurrent)
    assert queue.apply(0, same) == []
    assert queue.apply(100, lambda i: i * i) == [i * i for i in range(100)]
    with pytest.raises(ZeroDivisionError):
        queue.apply(10, lambda i: 1 // (i - 3))


# --- suspended ---


def test_a_suspended_queue_begins_nothing(gate: Any) -> None:
    queue = DispatchQueue("serial")
    first = queue.async_(gate.enter, 0)
    gate.wait()
    rest = [queue.async_(same, i) for i in range(1, 1500)]  # (some are in the ring)
    queue.suspend()
    queue.suspend()
    gate.open.set()
    assert first.result(LIMIT) == 0
    assert DispatchQueue("another").sync(same, 1) == 1
    queue.resume()
    assert not any(future.done() for future in rest)
    assert "suspended, 1499 blocks" in repr(queue)
    queue.resume()
    assert [future.result(LIMIT) for future in rest] == list(range(1, 1500))
    with pytest.raises(RuntimeError, match="more often"):
        queue.resume()


class Slow:
    """A ring, in which something happens after the first withdrawal."""

    def __init__(self, ring: Any, then: Any) -> None:
        self._ring, self._then = ring, then

    def _withdraw(self, number: int) -> Any:
        found = self._ring._withdraw(number)
        if found and self._then is not None:
            then, self._then = self._then, None
            then()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)


def test_a_worker_that_goes_on_while_it_is_suspended_takes_no_later_one_first(gate: Any) -> None:
    queue, out = DispatchQueue("serial"), procession.SimpleQueue()
    busy = queue.async_(gate.enter)
    gate.wait()
    futures = [queue.async_(out.put, i) for i in range(5)]

    def go_on() -> None:
        gate.open.set()
        eventually(lambda: not out.empty())

    queue._lane.ring = Slow(queue._lane.ring, go_on)
    queue.suspend()
    queue.resume()
    for future in (busy, *futures):
        future.result(LIMIT)
    assert [out.get() for _ in range(5)] == list(range(5))


# --- targets, priority ---


def test_a_serial_target_excludes() -> None:
    target = DispatchQueue("target")
    queues = [DispatchQueue("a", target=target), DispatchQueue("b", True, target=target)]
    futures = [queue.async_(span, i, 0.0003) for i in range(40) for queue in (*queues, target)]
    spans = [future.result(LIMIT) for future in futures]
    assert overlaps(spans) == 0
    for k in range(3):
        mine = spans[k::3]
        assert mine == sorted(mine, key=lambda each: each[2])
    assert queues[0].target is target


def test_a_suspended_target_holds_up_those_above(gate: Any) -> None:
    target = DispatchQueue("target")
    queue = DispatchQueue("queue", target=target)
    target.suspend()
    future = queue.async_(same, 1)
    assert DispatchQueue("other").sync(same, 2) == 2
    assert not future.done()
    target.resume()
    assert future.result(LIMIT) == 1


def test_a_higher_priority_goes_first(gate: Any) -> None:
    out = procession.SimpleQueue()
    with ProcessPoolExecutor(1) as executor:
        busy = executor.submit(gate.enter)
        gate.wait()
        many = [executor.submit(same, 1) for _ in range(10)]  # (the window is full)
        queues = [DispatchQueue(str(n), priority=n, executor=executor) for n in (0, 1, 2)]
        futures = [queue.async_(out.put, queue.name) for queue in queues]
        gate.open.set()
        for future in (busy, *many, *futures):
            future.result(LIMIT)
    assert [out.get() for _ in range(3)] == ["2", "1", "0"]


def test_a_higher_priority_passes_what_has_not_begun(gate: Any) -> None:
    """Also what was handed to the workers already; and what is lower waits until it is through."""
    out = procession.SimpleQueue()
    with ProcessPoolExecutor(1) as executor:
        low, high, middle = (DispatchQueue(str(n), priority=n, executor=executor) for n in (-5, 5, 0))
        busy = low.async_(gate.enter)
        gate.wait()
        futures = [queue.async_(slow_put, out, queue.name) for _ in range(8) for queue in (low, middle, high)]
        time.sleep(0.02)  # (a worker stays with a queue for so long, whatever else there is)
        gate.open.set()
        for future in (busy, *futures):
            future.result(LIMIT)
    assert [out.get() for _ in range(24)] == ["5"] * 8 + ["0"] * 8 + ["-5"] * 8


def test_a_lower_priority_has_the_workers_that_are_left(gate: Any) -> None:
    with ProcessPoolExecutor(2) as executor:
        low, high = DispatchQueue("low", priority=1, executor=executor), DispatchQueue("high", priority=2, executor=executor)
        busy = high.async_(gate.enter)
        gate.wait()
        assert low.sync(same, 1) == 1
        gate.open.set()
        assert busy.result(LIMIT) is None


@pytest.mark.parametrize("priorities", [(1, 2), (0, 0)])
def test_queues_have_the_workers_that_come(gates: Any, priorities: tuple[int, int]) -> None:
    """The lower one, and the same one's other blocks."""
    first, second = gates(2)
    with ProcessPoolExecutor(1) as executor:
        low, high = (DispatchQueue(str(n), True, priority=n, executor=executor) for n in priorities)
        busy = high.async_(first.enter)
        first.wait()
        others = [low.async_(same, 1), high.async_(second.enter)]
        executor.resize(3)
        second.wait()
        assert others[0].result(LIMIT) == 1
        for gate in (first, second):
            gate.open.set()
        for future in (busy, others[1]):
            future.result(LIMIT)


def test_a_block_that_waits_for_a_lower_priority_does_not_keep_it_from_its_worker() -> None:
    with ProcessPoolExecutor(1) as executor:
        low, high = DispatchQueue("low", executor=executor), DispatchQueue("high", priority=9, executor=executor)
        assert high.sync(sync_in, low) == 1


def test_the_global_queue_is_everybody_s() -> None:
    assert global_queue() is global_queue()
    assert global_queue(3) is not global_queue()
    assert global_queue(3).sync(same, 1) == 1
    for refused in (global_queue().suspend, global_queue().close):
        with pytest.raises(RuntimeError, match="everybody's"):
            refused()


# --- options, errors ---


def test_blocks_have_the_options_of_their_view(gate: Any) -> None:
    queue = DispatchQueue("serial")
    limited = queue.with_options(timeout=0.02)
    with pytest.raises(TaskTimeout):
        limited.sync(time.sleep, 60)
    assert queue.sync(same, 1) == 1
    running = queue.async_(gate.enter)
    gate.wait()
    assert running.cancel()
    assert queue.sync(same, 2) == 2
    with pytest.raises(TypeError, match="priority is the queue's"):
        queue.with_options(priority=1)


def test_what_cannot_be_pickled_is_the_block_s_error() -> None:
    queue = DispatchQueue("serial")
    generator = (x for x in ())
    assert isinstance(queue.async_(same, generator).exception(LIMIT), TypeError)
    assert isinstance(queue.async_(lambda: (x for x in ())).exception(LIMIT), TypeError)
    with pytest.raises(TypeError):
        queue.sync(same, generator)
    assert queue.sync(same, 1) == 1


# --- the end ---


def test_a_queue_is_closed_by_its_with() -> None:
    with DispatchQueue("serial") as queue:
        futures = [queue.async_(same, i) for i in range(2000)]
    assert [future.result(0) for future in futures] == list(range(2000))
    with pytest.raises(RuntimeError, match="'serial': it was closed"):
        queue.async_(same, 1)


def test_after_an_exception_what_waits_is_cancelled(gate: Any) -> None:
    with pytest.raises(KeyError), DispatchQueue("serial") as queue:  # noqa: PT012
        first, second = queue.async_(gate.enter, 1), queue.async_(same, 2)
        gate.wait()
        queue.after(0.01, gate.open.set)  # (not: it is cancelled)
        DispatchQueue("other").after(0.01, gate.open.set)
        raise KeyError
    assert first.result(0) == 1
    assert second.cancelled()


def test_after_a_ctrl_c_what_runs_is_stopped(gate: Any) -> None:
    with pytest.raises(KeyboardInterrupt), DispatchQueue("serial") as queue:  # noqa: PT012
        first = queue.async_(gate.enter, 1)
        gate.wait()
        raise KeyboardInterrupt
    assert first.cancelled()


def test_nothing_is_left_of_a_queue_that_was_dropped() -> None:
    future = DispatchQueue("forgotten").async_(same, 1)
    assert future.result(LIMIT) == 1
    queue = DispatchQueue("another")
    assert queue.sync(same, 1) == 1
    eventually(lambda: set(queue._engine.lanes.open) == {queue._lane.id}, LIMIT)


@pytest.mark.parametrize("suspended", [False, True])
def test_one_that_is_found_dead_while_locks_are_held(gate: Any, suspended: bool) -> None:
    """Whoever looks for garbage may be within any lock, of a future for instance, which the pool waits for."""

    class Owner:
        def __init__(self) -> None:
            self.me, self.queue = self, DispatchQueue("lost")

    def is_taken() -> bool:
        if lock.acquire(blocking=False):
            lock.release()
            return False
        return True

    queue, owner = DispatchQueue("serial"), Owner()
    lane, lock = owner.queue._lane, queue._engine.lock
    if suspended:
        owner.queue.suspend()
        waits = owner.queue.async_(same, 1)
    future = queue.async_(gate.enter, 2)
    gate.wait()
    with future._condition:
        gate.open.set()
        eventually(is_taken, LIMIT, "who collects, with the pool's lock")
        del owner
        gc.collect()
    assert future.result(LIMIT) == 2
    if suspended:
        with pytest.raises(CancelledError):
            waits.result(LIMIT)
    eventually(lambda: lane.closed, LIMIT, "an end of the lost queue")


def test_join_waits_for_what_was_submitted(gate: Any) -> None:
    queue = DispatchQueue("serial")
    assert queue.join(0)
    queue.async_(gate.enter)
    gate.wait()
    assert not queue.join(0.01)
    DispatchQueue("other").after(0.02, gate.open.set)
    assert queue.join(LIMIT)


def test_a_pool_that_was_shut_down_is_followed_by_another() -> None:
    queue = DispatchQueue("serial")
    assert queue.sync(same, 1) == 1
    dispatch.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        queue.async_(same, 1)
    assert "closed" in repr(queue)
    assert DispatchQueue("serial").sync(same, 2) == 2
    assert global_queue().sync(same, 2) == 2


def test_shut_down_without_doing_what_waits(gate: Any) -> None:
    target = DispatchQueue("target")
    queues = [target, DispatchQueue("a", True, target=target), DispatchQueue("b")]
    running = target.async_(gate.enter, 1)
    gate.wait()
    others = [queues[2].async_(gate.enter, 2)]
    waiting = [queue.async_(same, i) for queue in queues for i in range(5)]
    dispatch.shutdown(wait=False, cancel=True)
    assert [future.cancelled() for future in waiting] == [True] * 15
    gate.open.set()
    assert running.result(LIMIT) == 1
    assert others[0].cancelled() or others[0].result(LIMIT) == 2


def test_queues_of_an_executor_s_own(gate: Any) -> None:
    with ProcessPoolExecutor(1) as executor:
        queue = DispatchQueue("serial", executor=executor)
        assert queue.sync(os.getpid) == executor.submit(os.getpid).result(LIMIT)
        above = DispatchQueue("above", target=queue)
        assert above.sync(os.getpid) == queue.sync(os.getpid)
        with pytest.raises(ValueError, match="must have the same pool"):
            DispatchQueue("x", target=DispatchQueue("shared"), executor=executor)
    with pytest.raises(RuntimeError, match="after shutdown"):
        queue.sync(same, 1)


def test_a_target_that_was_closed_serves_those_that_have_it() -> None:
    target = DispatchQueue("target")
    queue = DispatchQueue("queue", target=target)
    target.close()
    assert queue.sync(same, 1) == 1
    with pytest.raises(RuntimeError, match="cannot be a target"):
        DispatchQueue("another", target=target)
    queue.close()
    eventually(lambda: not target._engine.lanes.open, LIMIT)  # (a worker lingers in it)
