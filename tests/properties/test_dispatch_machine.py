"""Dispatch queues are given blocks, suspended, and their workers are killed, in any order: every block ends as its story
allows, and those of a queue run in its order."""

from __future__ import annotations

import os
import signal
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from procession import DispatchQueue, ProcessPoolExecutor, SimpleQueue, WorkerDied

LIMIT = 10.0
QUEUES = st.integers(0, 3)
PRIORITIES = st.integers(-1, 1)


def note(out: Any, queue: int, number: int, inner: Any) -> int:
    out.put(("begin", queue, number))
    if inner is not None:
        assert inner.sync(abs, -number) == number
    out.put(("end", queue, number))
    return number


class Machine(RuleBasedStateMachine):
    """Queues: 0 is serial; so is 1, and has it as target; 2 and 3 are concurrent, 3 with the target 0."""

    def __init__(self) -> None:
        super().__init__()
        self.executor = ProcessPoolExecutor(2)
        self.queues: list[DispatchQueue] = []
        self.out = SimpleQueue()
        self.stories: list[tuple[Any, int, bool, int]] = []  # future, queue, whether it is a barrier, retries
        self.cancelled: set[int] = set()
        self.suspended = [0] * 4
        self.kills = 0

    @initialize(priorities=st.tuples(PRIORITIES, PRIORITIES, PRIORITIES))
    def make_queues(self, priorities: tuple[int, int, int]) -> None:
        first, other, inner = priorities
        serial = DispatchQueue("0", executor=self.executor, priority=first)
        self.queues = [serial, DispatchQueue("1", target=serial),
                       DispatchQueue("2", True, width=2, executor=self.executor, priority=other),
                       DispatchQueue("3", True, target=serial)]  # fmt: skip
        self.inner = DispatchQueue("inner", True, executor=self.executor, priority=inner).with_options(retries=100)

    def teardown(self) -> None:
        try:
            for queue, times in zip(self.queues, self.suspended, strict=bool(self.queues)):
                for _ in range(times):
                    queue.resume()
            for number, story in enumerate(self.stories):
                self.check(number, *story)
            assert all(queue.join(LIMIT) for queue in self.queues)
            self.check_order([self.out.get() for _ in range(self.out.qsize())])
        finally:
            self.executor.shutdown(wait=False)
            ended = self.executor._engine.join(LIMIT)
            if not ended:
                self.executor.kill_workers()
                self.executor._engine.join(LIMIT)
        assert ended

    def check(self, number: int, future: Any, queue: int, barrier: bool, retries: int) -> None:
        try:
            assert future.result(LIMIT) == number
        except CancelledError:
            assert number in self.cancelled
        except WorkerDied:
            assert self.kills
            assert retries == 0

    def check_order(self, notes: list[tuple[str, int, int]]) -> None:
        done = {number for number, (future, *_) in enumerate(self.stories) if not future.cancelled() and not future.exception()}
        last = {(what, number): at for at, (what, _, number) in enumerate(notes)}
        for queue in (0, 1):
            numbers = [number for what, where, number in notes if where == queue]
            assert numbers == sorted(numbers)
        running = None  # on queue 0, by whatever way
        for what, where, number in notes:
            if where != 2:
                assert what == "begin" or running == number
                running = number if what == "begin" else None
        for number, (_, where, barrier, _) in enumerate(self.stories):
            if where == 2 and barrier and number in done:
                beside = [other for other in done if self.stories[other][1] == 2 and other != number]
                assert all(last["end", other] < last["begin", number] for other in beside if other < number)
                assert all(last["begin", other] > last["end", number] for other in beside if other > number)

    # --- what may happen ---

    @rule(queue=QUEUES, count=st.integers(1, 12), barrier=st.booleans(), retries=st.sampled_from([0, 100]), deep=st.booleans())
    def submit(self, queue: int, count: int, barrier: bool, retries: int, deep: bool) -> None:
        view = self.queues[queue].with_options(retries=retries) if retries else self.queues[queue]
        for i in range(count):
            number, alone = len(self.stories), barrier and i == count // 2
            inner = self.inner if deep and i % 3 == 0 else None
            future = (view.barrier_async if alone else view.async_)(note, self.out, queue, number, inner)
            self.stories.append((future, queue, alone, retries))

    @rule(queue=QUEUES)
    def suspend(self, queue: int) -> None:
        self.queues[queue].suspend()
        self.suspended[queue] += 1

    @precondition(lambda self: any(self.suspended))
    @rule()
    def resume(self) -> None:
        queue = next(i for i, times in enumerate(self.suspended) if times)
        self.queues[queue].resume()
        self.suspended[queue] -= 1

    @precondition(lambda self: self.stories)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        number = data.draw(st.integers(0, len(self.stories) - 1))
        if self.stories[number][0].cancel():
            self.cancelled.add(number)

    @precondition(lambda self: self.executor._processes)
    @rule(which=st.integers(0, 3))
    def kill(self, which: int) -> None:
        members = [member for member in list(self.executor._engine.crew.members.values()) if member.serving]
        pids = [member.pid for member in members if member.pid]  # (five that never worked are the end of the pool)
        with suppress(ProcessLookupError):
            if which < len(pids):
                self.kills += 1
                os.kill(pids[which], signal.SIGKILL)

    @precondition(lambda self: self.stories and not any(self.suspended))
    @rule()
    def wait(self) -> None:
        future, *story = self.stories[-1]
        self.check(len(self.stories) - 1, future, *story)


Machine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestDispatch = pytest.mark.usefixtures("no_memory_is_left")(Machine.TestCase)
