"""What is closed, or had by several, while it is waited for; and processes that are another's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from eventloops import LOOPS, Run
from procession import (
    FIRST_EXCEPTION,
    ClosedError,
    Condition,
    Event,
    Pipe,
    Process,
    ProcessStateError,
    as_completed,
    wait,
    wait_async,
)
from procession.process.watch import Watch
from procession.testing import leaks
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


def start(target: Any = sleep_for_ever) -> Any:
    process = Process(target=target)
    process.start()
    return process


def open_descriptors() -> int:
    return leaks.descriptors().total()


def test_a_process_that_another_thread_closes_is_reported() -> None:
    process, other = start(), start()
    before = open_descriptors()
    watch = Watch([process, other])
    process.kill()
    process.join()
    process.close()
    watch.look(watch.sleep(20))
    assert list(watch.done()) == [process]
    watch.close()
    eventually(lambda: open_descriptors() < before)
    other.kill()


async def by_wait(process: Any) -> Any:
    return await wait_async([process, Event()], 20, FIRST_EXCEPTION)


async def by_as_completed(process: Any) -> Any:
    return [thing async for thing in as_completed([process], 20)]


async def by_join(process: Any) -> Any:
    return await process.join_async(20)


@pytest.mark.parametrize("how", [by_wait, by_as_completed, by_join])
def test_a_process_that_another_task_closes_is_reported(run: Run, how: Any) -> None:
    process = start()
    found: list[Any] = []

    async def waiter() -> None:
        found.append(await how(process))

    async def closer() -> None:
        await process
        process.close()

    async def main() -> None:
        async with run.tasks() as begin:
            for task in (waiter, closer, waiter):
                begin(task)
                await run.sleep(0.01)
            process.kill()

    run(main)
    for each in found:
        assert each == -9 or each == [process] or each.done == {process}
    assert len(found) == 2


def test_who_is_cancelled_just_as_it_is_closed_is_cancelled(run: Run) -> None:
    process = start()
    ended = []

    async def waiter() -> None:
        try:
            await process.join_async(stop=True)
        finally:
            ended.append(True)

    async def main() -> None:
        async with run.tasks() as begin:
            cancel = begin(waiter)
            await run.sleep(0.02)
            process.kill()
            process.join()
            process.close()
            cancel()

    run(main)
    assert ended


def test_for_other_threads_it_is_open_or_closed_at_any_moment() -> None:
    process = start(os.getpid)
    process.join()
    looks: list[Callable[[], Any]] = [
        process.join, process.is_alive, process.times, process.terminate, lambda: process.exitcode, lambda: process.sentinel,
        lambda: process.state, lambda: process.add_done_callback(str), lambda: wait([process], 20),
        lambda: next(as_completed([process], 20)),
    ]  # fmt: skip
    seen = set()

    def in_between(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is not Process.close.__code__:
            return None
        for look in looks:
            try:
                look()
                seen.add("open")
            except ClosedError:
                seen.add("closed")
        return in_between

    before = sys.gettrace()
    sys.settrace(in_between)
    try:
        process.close()
    finally:
        sys.settrace(before)
    assert seen == {"open", "closed"}


def test_a_connection_that_is_closed_is_reported(run: Run) -> None:
    before = open_descriptors()
    found: list[Any] = []

    async def main() -> None:
        ends = [Pipe() for _ in range(3)]

        async def by_wait() -> None:
            found.append(await wait_async([ends[0][0], ends[1][0]], 20))

        async def by_for() -> None:
            found.append([end async for end in as_completed([ends[1][0], ends[0][0], Event()])][:2])

        async with run.tasks() as begin:
            begin(by_wait)
            cancel = begin(by_for)
            begin(run.sleep, 0.02)
            await run.sleep(0.01)
            assert len(ends[0][0]._watch_entries) == 2
            for end in (ends[1][0], ends[0][0]):
                end.close()
            await run.until(lambda: bool(found))
            cancel()
        assert [(found[0].done, found[0].not_done)] == [({ends[0][0], ends[1][0]}, set())]
        for pair in ends:
            for end in pair:
                end.close()

    run(main)
    eventually(lambda: open_descriptors() <= before)


def test_a_connection_that_another_thread_closes_is_reported() -> None:
    here, there = Pipe()
    watch = Watch([here])
    threading.Timer(0.02, here.close).start()
    while not (done := list(watch.done())):
        watch.look(watch.sleep(20))
    assert done == [here]
    watch.close()
    there.close()


def test_closed_connections_keep_no_descriptor_each() -> None:
    pairs = [Pipe() for _ in range(20)]
    done = as_completed([first for first, _ in pairs], 20)
    before = open_descriptors()
    for first, _ in pairs:
        first.close()
        assert next(done) is first
    assert open_descriptors() <= before - 20 + 1
    done.close()
    for _, second in pairs:
        second.close()


def test_a_watch_that_is_closed_while_it_is_rung_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Pipe()
    before = open_descriptors()
    watch = Watch([here])
    eventfd = os.eventfd

    def closed_meanwhile(*args: int) -> int:
        fd = eventfd(*args)
        watch.close()
        return fd

    monkeypatch.setattr(os, "eventfd", closed_meanwhile)
    here.close()
    assert open_descriptors() == before - 1
    there.close()


def test_several_tasks_may_take_from_one_iteration(run: Run) -> None:
    events = [Event() for _ in range(5)]
    found: list[Any] = []

    async def main() -> None:
        each = as_completed(events, 20)

        async def one() -> None:
            async for event in each:
                found.append(event)

        async with run.tasks() as begin:
            for _ in range(3):
                begin(one)
            for event in events:
                await run.sleep(0.005)
                event.set()

    run(main)
    assert found == events


def test_closing_an_iteration_ends_it_for_all_tasks(run: Run) -> None:
    ended: list[Any] = []

    async def main() -> None:
        for thing in (Event(), Condition()):
            each = as_completed([thing])

            async def one(each: Any = each) -> None:
                ended.append([thing async for thing in each])

            async with run.tasks() as begin:
                begin(one)
                begin(one)
                await run.sleep(0.01)
                each.close()
                each.close()

    run(main)
    assert ended == [[], [], [], []]


async def by_await(process: Any) -> Any:
    return await process


def test_a_process_of_another_is_refused_at_once(run: Run) -> None:
    process, never = start(), Process(target=int)

    async def child() -> None:
        for how in (by_await, by_wait, by_as_completed, by_join):
            with pytest.raises(ProcessStateError, match="child process"):
                await how(process)
        with pytest.raises(ProcessStateError, match="child process"):
            wait([process])

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run(child)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    async def main() -> None:
        with pytest.raises(ProcessStateError, match="started"):
            await never

    run(main)
    process.kill()
