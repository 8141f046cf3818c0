"""A pool is given tasks, which are cancelled, stopped, and whose workers are killed, in any order: every task ends as its story
allows, and every result is right."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import CancelledError
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from procession import Event, ProcessPoolExecutor, TaskTimeout, WorkerDied

LIMIT = 10.0
KINDS = st.sampled_from(["square", "refuse", "linger", "hang"])


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> None:
    raise LookupError(number)


def linger(number: int, gate: Any) -> int:
    gate.wait(LIMIT)
    return number


def hang() -> None:
    time.sleep(LIMIT)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pool = ProcessPoolExecutor(2)
        self.views = {retries: self.pool.with_options(retries=retries, grace=0.1) for retries in (0, 100)}
        self.gate = Event()
        self.open = True
        self.kills = 0
        self.stories: list[tuple[Any, str, int, int]] = []  # future, what it is to do, with what, retries
        self.cancelled: set[int] = set()
        self.streams: list[tuple[Any, int]] = []

    def teardown(self) -> None:
        self.gate.set()
        self.pool.shutdown(wait=False)
        try:
            for at, story in enumerate(self.stories):
                self.check(at, *story)
            for stream, count in self.streams:
                self.check_stream(stream, count)
        finally:
            ended = self.pool._engine.join(LIMIT)
            engine = self.pool._engine
            crew = list(engine.crew.members.values())
            members = [(member.id, member.pid, member.leaving, member.in_hand()) for member in crew]
            left = engine.held, engine.backlog.count, engine.streams, members, engine.tasks.qsize(), engine.crew.size
            if not ended:
                self.pool.kill_workers()
        assert ended, f"the pool has not ended: {left}"
        assert self.pool._engine.outstanding() == 0

    def check(self, at: int, future: Any, kind: str, number: int, retries: int) -> None:
        try:
            result = future.result(LIMIT)
        except CancelledError:
            assert at in self.cancelled
        except LookupError as error:
            self.agree((kind, error.args), ("refuse", (number,)))
        except TaskTimeout:
            assert kind == "hang"
        except WorkerDied:
            assert self.kills
            assert retries == 0
        else:
            assert at not in self.cancelled
            assert result == {"square": number * number, "linger": number}[kind]

    @staticmethod
    def agree(found: Any, expected: Any) -> None:
        assert found == expected

    def check_stream(self, stream: Any, count: int) -> None:
        try:
            assert list(stream) == [number * number for number in range(count)]
        except WorkerDied:
            assert self.kills

    @precondition(lambda self: self.open)
    @rule(kind=KINDS, number=st.integers(-99, 99), retries=st.sampled_from([0, 100]))
    def submit(self, kind: str, number: int, retries: int) -> None:
        view = self.views[retries]
        if kind == "hang":
            future = view.with_options(timeout=0.05).submit(hang)
        elif kind == "linger":
            future = view.submit(linger, number, self.gate)
        else:
            future = view.submit({"square": square, "refuse": refuse}[kind], number)
        self.stories.append((future, kind, number, retries))

    @precondition(lambda self: self.open)
    @rule(count=st.integers(0, 200), sized=st.booleans(), chunksize=st.integers(1, 9))
    def begin_map(self, count: int, sized: bool, chunksize: int) -> None:
        items = range(count) if sized else iter(range(count))
        self.streams.append((self.pool.map(square, items, chunksize=chunksize), count))

    @precondition(lambda self: self.streams)
    @rule()
    def read_a_stream(self) -> None:
        if self.gate.is_set():
            self.check_stream(*self.streams.pop(0))

    @precondition(lambda self: self.stories)
    @rule(which=st.integers(0, 10**6))
    def cancel(self, which: int) -> None:
        at = which % len(self.stories)
        if self.stories[at][0].cancel():
            self.cancelled.add(at)

    @rule(which=st.integers(0, 1))
    def kill_a_worker(self, which: int) -> None:
        members = [member for member in list(self.pool._engine.crew.members.values()) if member.serving]
        pids = [member.pid for member in members if member.pid]  # (five that never worked are the end of the pool)
        if which < len(pids):
            self.kills += 1
            try:
                os.kill(pids[which], signal.SIGKILL)
            except ProcessLookupError:
                pass

    @precondition(lambda self: self.open)
    @rule(workers=st.integers(1, 3))
    def resize(self, workers: int) -> None:
        self.pool.resize(workers)

    @rule()
    def open_or_shut_the_gate(self) -> None:
        if self.gate.is_set():
            self.gate.clear()
        else:
            self.gate.set()

    @precondition(lambda self: self.stories and self.open)
    @rule()
    def wait_for_the_first(self) -> None:
        if self.gate.is_set():
            self.check(0, *self.stories[0])

    @rule(cancel=st.booleans(), really=st.integers(0, 9))
    def close(self, cancel: bool, really: int) -> None:
        if self.open and really == 0:
            self.open = False
            self.pool.shutdown(wait=False, cancel_futures=cancel)
            if cancel:
                self.cancelled |= {at for at, story in enumerate(self.stories) if story[0].cancelled()}
                self.streams.clear()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=20 if os.environ.get("PROCESSION_SHORT") else 40, stateful_step_count=40,
    derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # (to shrink takes minutes, with processes)
)  # fmt: skip
