"""Lanes: tasks in order, by so many workers at a time; and what becomes of them when a worker dies."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

import procession
from procession import TaskTimeout, WorkerDied, _native
from procession.pool import service
from procession.pool.block import Block
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.future import Future
from procession.pool.lanes import Lane
from procession.pool.messages import Shape
from procession.pool.options import PLAIN, Options
from procession.testing.watch import eventually
from spans import overlaps, same, span

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def put(lane: Lane, function: Callable[..., Any], *args: Any, barrier: bool = False, **options: Any) -> Block:
    engine = lane._engine.collector._engine  # (the proxy that all parts have)
    block = Block(engine, lane, barrier)
    block.prepare(engine.functions, function, Shape.CALL, (args, {}), Options(**options) if options else PLAIN)
    lane.submit(block)
    return block


def end_state(executor: ProcessPoolExecutor, lane: Lane) -> None:
    """Nothing is left of a lane in which all is done."""
    lane.close()
    engine = executor._engine
    eventually(lambda: not engine.held, LIMIT, f"{engine.held}")
    with engine.lock:
        assert not lane.held
        assert not lane.orders
        assert not lane.backlog
        assert not engine.lanes.open
        assert not engine.lanes.held
        assert not engine.lanes.hungry
    assert -lane.id not in engine.functions.table


def test_no_memory_is_left_of_lanes(no_memory_is_left: None) -> None:
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(same, 1).result(LIMIT) == 1
        before = _native.commons_facts()["arena_used"]
        for _ in range(3):
            Lane(executor._engine).close()
        assert _native.commons_facts()["arena_used"] <= before
        served, open_ = Lane(executor._engine), Lane(executor._engine)
        assert put(served, same, 1).result(LIMIT) == 1
        served.close()
    del executor, served, open_


class _Full:
    """A ring in which there is no room for the first two messages."""

    def __init__(self, ring: Any) -> None:
        self._ring, self._refused = ring, 0

    def _put_tasks(self, batch: list[Any]) -> int:
        return 0 if self._refused < 2 else self._ring._put_tasks(batch)

    def _put_task(self, *message: Any) -> None:
        self._refused += 1
        if self._refused <= 2:
            raise MemoryError
        self._ring._put_task(*message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)


def test_after_those_for_which_there_was_no_room_the_others_go_on(executors: Make) -> None:
    lane = Lane(executors(1)._engine)
    lane.suspend()
    lane.window, lane.ring = 2, _Full(lane.ring)
    blocks = [put(lane, same, i) for i in range(5)]
    lane.resume()
    assert [type(block.exception(LIMIT)) for block in blocks[:2]] == [MemoryError] * 2
    assert [block.result(LIMIT) for block in blocks[2:]] == [2, 3, 4]


def test_so_it_is_in_a_pool(executors: Make) -> None:
    executor = executors(1)
    engine = executor._engine
    assert executor.submit(same, 1).result(LIMIT) == 1  # (the worker has the ring itself)
    engine.tasks, engine._window, engine._least = _Full(engine.tasks), 2, 2  # type: ignore[assignment]
    with engine.lock:
        futures = [Future(engine) for _ in range(5)]
        for number, future in enumerate(futures):
            future.prepare(engine.functions, same, Shape.CALL, ((number,), {}), PLAIN)
            engine.backlog.push(future)
        engine._dispatch()
    assert [type(future.exception(LIMIT)) for future in futures[:2]] == [MemoryError] * 2
    assert [future.result(LIMIT) for future in futures[2:]] == [2, 3, 4]


@pytest.mark.parametrize("workers", [1, 2])
def test_one_after_another_in_order(executors: Make, workers: int) -> None:
    executor = executors(workers)
    lane = Lane(executor._engine)
    blocks = [put(lane, span, i) for i in range(3000)]
    spans = [block.result(LIMIT) for block in blocks]
    assert [each[0] for each in spans] == list(range(3000))
    assert spans == sorted(spans, key=lambda each: each[2])
    assert overlaps(spans) == 0
    end_state(executor, lane)


def test_so_many_at_a_time(executors: Make, doors: Any) -> None:
    executor = executors(3)
    lane = Lane(executor._engine, 2)
    blocks = [put(lane, doors.enter, i, i) for i in range(4)]
    doors.wait(0, 1)
    assert executor.submit(same, 5).result(LIMIT) == 5  # (the third worker has nothing to do with the lane)
    assert not doors.here[2].is_set()
    doors.let(1)
    doors.wait(2)
    assert not doors.here[3].is_set()
    doors.let(0, 2, 3)
    assert [block.result(LIMIT) for block in blocks] == [0, 1, 2, 3]
    end_state(executor, lane)


def test_what_cannot_be_done_plainly_is_done_in_order_too(executors: Make) -> None:
    def failing(x: int) -> None:
        raise ValueError(x)

    executor = executors(2)
    lane = Lane(executor._engine)
    blocks = [put(lane, (same, failing, lambda x: [x], lambda x: lambda: x)[i % 4], i) for i in range(40)]
    for i in range(0, 40, 4):
        assert blocks[i].result(LIMIT) == i
        assert isinstance(blocks[i + 1].exception(LIMIT), ValueError)
        assert blocks[i + 2].result(LIMIT) == [i + 2]
        assert blocks[i + 3].result(LIMIT)() == i + 3
    big = b"x" * 100_000
    assert [len(put(lane, same, big).result(LIMIT)) for _ in range(3)] == [100_000] * 3
    end_state(executor, lane)


def test_two_lanes_share_one_worker(executors: Make) -> None:
    executor = executors(1)
    lanes = [Lane(executor._engine) for _ in range(2)]
    blocks = [[put(lane, span, i, 0.001) for i in range(60)] for lane in lanes]
    first, second = ([block.result(LIMIT) for block in each] for each in blocks)
    assert second[0][2] < first[-1][2]
    assert first[0][2] < second[-1][2]
    plain = executor.submit(span, 0)
    assert plain.result(LIMIT)[0] == 0
    for lane in lanes:
        lane.close()


def test_a_target_of_width_one_excludes(executors: Make) -> None:
    executor = executors(2)
    target = Lane(executor._engine)
    lanes = [Lane(executor._engine, width, target=target) for width in (1, 1, 2)]
    blocks = [put(lane, span, i, 0.0002) for i in range(50) for lane in (*lanes, target)]
    spans = [block.result(LIMIT) for block in blocks]
    assert overlaps(spans) == 0
    for k in range(4):
        mine = [each for j, each in enumerate(spans) if j % 4 == k]
        assert mine == sorted(mine, key=lambda each: each[2])
    for lane in (*lanes, target):
        lane.close()
    eventually(lambda: not executor._engine.lanes.open)


def test_a_barrier_runs_alone(executors: Make) -> None:
    executor = executors(3)
    lane = Lane(executor._engine, 3)
    blocks = [put(lane, span, i, 0.001, barrier=i % 5 == 4) for i in range(40)]
    spans = [block.result(LIMIT) for block in blocks]
    for i in range(4, 40, 5):
        assert all(each[3] <= spans[i][2] for each in spans[:i])
        assert all(each[2] >= spans[i][3] for each in spans[i + 1 :])
    end_state(executor, lane)


# --- suspended ---


def test_suspended_nothing_begins_and_order_stays(executors: Make, doors: Any) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    shared = procession.SimpleQueue()  # (what has such in it can be put once)
    first = put(lane, doors.enter, 0)
    doors.wait(0)
    blocks = [put(lane, lambda x, out: out.put(x), i, shared) if i % 2 else put(lane, shared_put(shared), i) for i in range(50)]
    lane.suspend()
    lane.suspend()
    assert lane.ring.qsize() == 0
    doors.let(0)
    assert first.result(LIMIT) is None
    blocks += [put(lane, shared_put(shared), 50)]
    assert blocks[7].cancel()
    lane.resume()
    assert executor.submit(same, 1).result(LIMIT) == 1
    assert shared.empty()
    lane.resume()
    blocks[-1].result(LIMIT)
    assert [shared.get() for _ in range(50)] == [*range(7), *range(8, 51)]
    with pytest.raises(RuntimeError, match="more often"):
        lane.resume()
    end_state(executor, lane)


def shared_put(queue: Any) -> Callable[[int], None]:
    return lambda x: queue.put(x)


def test_what_waits_in_a_suspended_lane_ends_with_the_pool(executors: Make) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    lane.suspend()
    blocks = [put(lane, same, i) for i in range(3)]
    executor.shutdown()
    assert all(block.cancelled() for block in blocks)
    with pytest.raises(RuntimeError, match="after shutdown"):
        put(lane, same, 1)


# --- ends ---


def test_shutdown_waits_for_lanes(executors: Make) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    blocks = [put(lane, same, i) for i in range(1500)]  # (more than its ring takes)
    executor.shutdown()
    assert [block.result(0) for block in blocks] == list(range(1500))


def test_a_pool_that_is_ended_ends_its_lanes(executors: Make, doors: Any) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    blocks = [put(lane, doors.enter, 0)] + [put(lane, same, i) for i in range(1500)]
    doors.wait(0)
    executor.kill_workers()
    assert all(isinstance(block.exception(LIMIT), procession.errors.ProcessionError | RuntimeError) for block in blocks)
    executor.shutdown()
    assert not lane.held
    assert not lane.backlog
    assert not lane.orders


def test_a_closed_lane_takes_nothing(executors: Make) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    blocks = [put(lane, same, i) for i in range(10)]
    lane.close()
    with pytest.raises(RuntimeError, match="closed"):
        put(lane, same, 1)
    assert [block.result(LIMIT) for block in blocks] == list(range(10))
    end_state(executor, lane)


def test_one_that_waits_in_the_ring_is_cancelled(executors: Make, doors: Any) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    blocks = [put(lane, doors.enter, 0)] + [put(lane, same, i) for i in range(1, 1400)]
    doors.wait(0)
    assert blocks[5].cancel()
    assert blocks[1399].cancel()
    doors.let(0)
    assert blocks[1398].result(LIMIT) == 1398
    for index in (5, 1399):
        with pytest.raises(CancelledError):
            blocks[index].result(LIMIT)
    end_state(executor, lane)


def test_one_that_runs_is_stopped(executors: Make, doors: Any) -> None:
    executor = executors(1)
    lane = Lane(executor._engine)
    running, limited, last = put(lane, doors.enter, 0), put(lane, time.sleep, 60, timeout=0.02), put(lane, same, 3)
    doors.wait(0)
    assert running.cancel()
    assert isinstance(limited.exception(LIMIT), TaskTimeout)
    assert last.result(LIMIT) == 3
    end_state(executor, lane)


def test_workers_are_relieved_in_lanes_too(executors: Make) -> None:
    executor = executors(1, max_tasks_per_child=3)
    lane = Lane(executor._engine)
    blocks = [put(lane, os.getpid) for _ in range(12)]
    pids = [block.result(LIMIT) for block in blocks]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3, 3]
    end_state(executor, lane)


# --- deaths ---


def kill_me_once(path: str, value: Any) -> Any:
    if not os.path.exists(path):
        with open(path, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    return value


def test_a_death_ends_its_task_and_no_other(executors: Make, tmp_path: Any) -> None:
    executor = executors(2)
    lane = Lane(executor._engine)
    blocks = [put(lane, kill_me_once, str(tmp_path / "dead"), i) if i == 20 else put(lane, same, i) for i in range(50)]
    assert isinstance(blocks[20].exception(LIMIT), WorkerDied)
    assert [block.result(LIMIT) for i, block in enumerate(blocks) if i != 20] == [i for i in range(50) if i != 20]
    end_state(executor, lane)


def test_another_attempt_goes_before_those_behind_it(executors: Make, tmp_path: Any) -> None:
    executor = executors(2)
    lane = Lane(executor._engine)
    shared = procession.SimpleQueue()

    def note(path: str | None, value: int) -> None:
        if path:
            kill_me_once(path, value)
        shared.put(value)

    blocks = [put(lane, note, str(tmp_path / "dead"), i, retries=1) if i == 20 else put(lane, note, None, i) for i in range(50)]
    for block in blocks:
        block.result(LIMIT)
    assert [shared.get() for _ in range(50)] == list(range(50))
    end_state(executor, lane)


def test_in_nested_lanes_one_task_dies(executors: Make, tmp_path: Any) -> None:
    executor = executors(2)
    target = Lane(executor._engine)
    lane = Lane(executor._engine, target=target)
    blocks = [put(each, kill_me_once, str(tmp_path / "dead") if i == 7 and each is lane else "/", i) for i in range(20)
              for each in (lane, target)]  # fmt: skip
    failed = [i for i, block in enumerate(blocks) if block.exception(LIMIT) is not None]
    assert failed == [14]
    assert isinstance(blocks[14].exception(), WorkerDied)
    lane.close()
    end_state(executor, target)


@pytest.mark.parametrize("moment", ["before TAKEN", "after TAKEN", "before the end"])
def test_a_death_between_tasks_loses_none(executors: Make, tmp_path: Any, monkeypatch: Any, moment: str) -> None:
    flag = str(tmp_path / "dead")
    serve, ring, linger = service.Service.serve, service.Service.ring, service.Service._linger
    if moment == "before TAKEN":
        monkeypatch.setattr(service.Service, "serve", lambda *args: kill_me_once(flag, serve)(*args))
    elif moment == "after TAKEN":
        monkeypatch.setattr(service.Service, "ring", lambda *args: kill_me_once(flag, ring)(*args))
    else:
        monkeypatch.setattr(service.Service, "_linger", lambda *args: kill_me_once(flag, linger)(*args))
    executor = executors(1, procession.get_context("fork"))
    lane = Lane(executor._engine)
    blocks = [put(lane, same, i) for i in range(10)]
    assert [block.result(LIMIT) for block in blocks] == list(range(10))
    eventually(lambda: os.path.exists(flag))
    assert put(lane, same, 10).result(LIMIT) == 10
    end_state(executor, lane)


def test_killed_at_any_moment(executors: Make) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    executor = executors(2)
    target = Lane(executor._engine)
    lanes = [Lane(executor._engine), Lane(executor._engine, 2), Lane(executor._engine, target=target)]
    out = procession.SimpleQueue()

    def note(lane: int, value: int) -> int:
        out.put((lane, value))
        return value

    for kills in range(1, 13):
        blocks = [[put(lane, note, k, i) for i in range(100)] for k, lane in enumerate(lanes)]
        time.sleep(dice.random() * 0.01)
        with contextlib.suppress(ProcessLookupError, IndexError):  # (the last one's heir may not be there yet)
            os.kill(dice.choice(sorted(executor._processes)), signal.SIGKILL)
        lost = [block for each in blocks for block in each if block.exception(LIMIT) is not None]
        assert len(lost) <= 1, (kills, lost)
        noted = [out.get() for _ in range(300 - len(lost))]
        noted += [out.get() for _ in range(out.qsize())]  # (the lost one may have said it)
        for k in (0, 2):
            assert (mine := [value for lane, value in noted if lane == k]) == sorted(mine)
    for lane in lanes:
        lane.close()
    end_state(executor, target)


@pytest.mark.parametrize("closed", ["lane", "pool"])
def test_a_submit_that_was_interrupted_keeps_neither_lane_nor_pool_from_its_end(
    executors: Make, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """The task was there, and no order to serve it."""

    def interrupt(lane: Lane) -> None:
        raise KeyboardInterrupt

    executor = executors(1)
    lane = Lane(executor._engine)
    with monkeypatch.context() as patch:
        patch.setattr(Lane, "see_to_service", interrupt)
        with pytest.raises(KeyboardInterrupt):
            put(lane, same, 1)
    if closed == "lane":
        lane.close()
        assert lane.join(LIMIT)
    executor.shutdown(wait=False)
    assert executor._engine.join(LIMIT)
