"""as_completed, wait_async, and callbacks on whatever can be waited for: what they promise beyond their results."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import procession
from eventloops import LOOPS, Run
from procession import (
    Barrier,
    Condition,
    Event,
    JoinableQueue,
    Lock,
    Pipe,
    Process,
    Queue,
    RWLock,
    Semaphore,
    SimpleQueue,
    WaitTimeout,
    as_completed,
    wait,
    wait_async,
)  # fmt: skip
from procession.process import callbacks
from procession.process.watch import Watch
from procession.testing import leaks
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually


@pytest.fixture(autouse=True)
def no_callback_left(leak_guard: None) -> Iterator[None]:
    yield
    gc.collect()
    assert not callbacks._caller._pending


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


def start(target: Any = sleep_for_ever, *args: Any) -> Any:
    process = Process(target=target, args=args)
    process.start()
    return process


# --- one by one ---


def test_in_the_order_in_which_they_end() -> None:
    events, futures = [Event() for _ in range(4)], [Future[None]() for _ in range(4)]
    things = [thing for pair in zip(events, futures, strict=True) for thing in pair]
    order = things[::-1]
    found = as_completed(things, 20)
    for thing in order:
        thing.set() if thing in events else thing.set_result(None)
        assert next(found) is thing
    with pytest.raises(StopIteration):
        next(found)
    assert list(as_completed([])) == []
    assert list(as_completed([events[0], events[0]])) == [events[0]]


def test_the_timeout_counts_from_the_call_and_it_may_go_on() -> None:
    first, second, never = Event(), Event(), Lock()
    never.acquire()
    first.set()
    found = as_completed([first, second, never], 0.05)
    assert next(found) is first
    for _ in range(2):
        with pytest.raises(WaitTimeout, match="2 of 3") as raised:
            next(found)
        assert (raised.value.not_done, raised.value.total) == (2, 3)
        assert isinstance(raised.value, TimeoutError | procession.TimeoutError)
    second.set()
    assert next(found) is second
    found.close()


def test_what_is_wrong_is_refused_at_the_call() -> None:
    lock = Lock()
    for wrong in (object(), RWLock(), None, "name"):
        with pytest.raises(TypeError, match="cannot wait for"):
            as_completed([lock, wrong])
    with pytest.raises(TypeError, match=r"reading\(\) and writing\(\)"):
        as_completed([RWLock()])
    with pytest.raises(ValueError, match="not started"):
        as_completed([Process()])
    with pytest.raises(ValueError, match="NaN"):
        as_completed([lock], float("nan"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        wait([10**6])
    eventually(lambda: lock.waiters == ())


def test_what_is_abandoned_leaves_nothing() -> None:
    event, lock, future, queue, barrier = Event(), Lock(), Future[None](), Queue(), Barrier(2)
    done = Event()
    done.set()
    lock.acquire()
    before = leaks.descriptors().total()
    for thing in as_completed([event, lock, done, future, queue, barrier]):
        assert thing is done
        break
    assert not event.waiters
    assert not barrier.waiters
    assert not future._waiters
    eventually(lambda: not lock.waiters)
    eventually(lambda: leaks.descriptors().total() <= before)
    lock.release()


@pytest.mark.parametrize("make", [Lock, Semaphore, lambda: Semaphore(robust=True)])
def test_who_takes_long_between_two_keeps_nobody_from_a_lock(make: Any) -> None:
    thing, event = make(), Event()
    thing.acquire()
    event.set()
    found = as_completed([event, thing], 20)
    assert next(found) is event
    eventually(lambda: len(thing.waiters) == 1)
    taken = threading.Event()
    threading.Thread(target=lambda: (thing.acquire(), taken.set()), daemon=True).start()
    eventually(lambda: len(thing.waiters) == 2)
    thing.release()
    assert taken.wait(5), "the iteration, which was first, keeps the wake-up"
    assert next(found) is thing


def test_a_notification_that_nobody_came_to_know_goes_on() -> None:
    condition, event = Condition(), Event()
    event.set()
    found = as_completed([event, condition])
    assert next(found) is event
    eventually(lambda: len(condition.waiters) == 1)
    later = threading.Thread(target=lambda: wait([condition]), daemon=True)
    later.start()
    eventually(lambda: len(condition.waiters) == 2)
    with condition:
        condition.notify()  # to the iteration
    [relayed] = found._relays
    eventually(lambda: relayed.found)
    assert later.is_alive()
    del found
    later.join(10)
    assert not later.is_alive()


def test_a_notification_is_for_one_of_those_who_wait() -> None:
    """An interrupted `wait` passes it on; a time-out takes none."""
    condition = Condition()
    assert wait([condition], 0.01).done == set()
    waits = [threading.Thread(target=lambda: wait([condition]), daemon=True) for _ in range(3)]
    for thread in waits:
        thread.start()
    eventually(lambda: len(condition.waiters) == 3)
    with condition:
        condition.notify()
    eventually(lambda: sum(thread.is_alive() for thread in waits) == 2)
    with condition:
        condition.notify_all()
    for thread in waits:
        thread.join(10)
        assert not thread.is_alive()


def test_a_thousand_cost_one_descriptor_each_way() -> None:
    events = [Event() for _ in range(1000)]
    before = leaks.descriptors().total()
    found = as_completed(events)
    assert leaks.descriptors().total() <= before + 2
    for event in events:
        event.set()
    assert set(found) == set(events)


def test_a_forked_child_is_told_so() -> None:
    event = Event()
    found = as_completed([event])
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            next(found)
        except RuntimeError:
            del found
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    event.set()
    assert next(found) is event


def test_a_wait_that_an_interrupted_add_left_is_passed_on() -> None:
    lock, watch = Lock(), Watch()
    lock.acquire()
    lock._watch(watch._channel().number)  # (and a signal's handler raises before that is noted)
    taken = threading.Event()
    threading.Thread(target=lambda: (lock.acquire(), taken.set()), daemon=True).start()
    eventually(lambda: len(lock.waiters) == 2)
    lock.release()
    watch.look(watch.sleep(20))
    assert list(watch.done()) == []
    assert taken.wait(20)
    assert not lock.waiters
    watch.close()


def test_both_of_what_has_the_same_descriptor() -> None:
    process = start(int)
    assert wait([process, process.sentinel], 20) == ({process, process.sentinel}, set())
    with open(__file__) as file:
        assert wait([file], 1).done == {file}


# --- in an event loop ---


def test_async_for_lets_others_run_and_is_left_at_any_time(run: Run) -> None:
    events, lock = [Event() for _ in range(3)], Lock()
    lock.acquire()

    async def main() -> None:
        async def set_them() -> None:
            for event in events:
                await run.sleep(0.005)
                event.set()

        async with run.tasks() as begin:
            begin(set_them)
            assert [thing async for thing in as_completed(events, 20)] == events
        with pytest.raises(WaitTimeout):
            async for _ in as_completed([lock], 0.01):
                pass
        async for thing in as_completed([lock, *events]):
            assert thing in events
            break

    run(main)
    eventually(lambda: not lock.waiters)
    lock.release()


def test_many_tasks_wait_for_many_things(run: Run) -> None:
    events, processes, threads = [Event() for _ in range(20)], [start() for _ in range(5)], set(threading.enumerate())

    async def one() -> None:
        assert (await wait_async([*events, *processes], 20)).not_done == set()

    async def main() -> None:
        async with run.tasks() as begin:
            for _ in range(50):
                begin(one)
            await run.until(lambda: all(len(event.waiters) == 50 for event in events))
            assert set(threading.enumerate()) <= threads
            for event in events:
                event.set()
            for process in processes:
                process.kill()

    run(main)


# --- callbacks ---


def test_callbacks_are_called_once_each_with_the_thing() -> None:
    here, there = socket.socketpair()
    first, second = Pipe()
    rwlock, queue, full, tasks = RWLock(), SimpleQueue(), Queue(1), JoinableQueue()
    rwlock.acquire_write()
    full.put(1)
    tasks.put(1)
    ends: dict[Any, Any] = {
        Event(): lambda event: event.set(), rwlock.reading(): lambda side: rwlock.release_write(), queue: lambda it: it.put(1),
        full.space: lambda space: full.get(), tasks.joined: lambda joined: (tasks.get(), tasks.task_done()),
        first: lambda it: second.send(1), Barrier(2): lambda barrier: barrier.abort(), start(): lambda process: process.kill(),
    }  # fmt: skip
    calls: list[Any] = []
    for thing in ends:
        for _ in range(2):
            thing.add_done_callback(calls.append)
    assert [thread.name for thread in threading.enumerate()].count("procession-callbacks") == 1
    for number, (thing, end) in enumerate(ends.items()):
        assert len(calls) == 2 * number
        end(thing)
        eventually(lambda number=number: len(calls) == 2 * number + 2)
        assert calls[-2:] == [thing, thing]
    assert rwlock.readers == ()
    assert queue.get() == first.recv() == 1
    for end in (here, there, first, second):
        end.close()


def test_what_is_closed_is_called_then() -> None:
    calls: list[Any] = []
    queue, simple, full, (first, second) = Queue(), SimpleQueue(), Queue(1), Pipe()
    full.put(1)
    for thing in (queue, simple, full.space, first):
        thing.add_done_callback(calls.append)
    queue.close()
    simple.close()
    full.close()
    first.close()
    eventually(lambda: len(calls) == 4)
    assert calls == [queue, simple, full.space, first]
    with pytest.raises(OSError, match="closed"):
        first.add_done_callback(print)
    second.close()


def test_a_callback_that_cannot_be_called_is_refused() -> None:
    for thing in (Event(), Lock(), Queue(), start(int)):
        with pytest.raises(TypeError, match="callable"):
            thing.add_done_callback("function")


def test_what_a_callback_raises_harms_no_other(capfd: Any) -> None:
    event, calls = Event(), []
    event.add_done_callback(lambda event: 1 / 0)
    event.add_done_callback(calls.append)
    event.set()
    eventually(lambda: calls == [event])
    err = capfd.readouterr().err
    assert "ZeroDivisionError" in err
    assert repr(event) in err


def test_a_callback_may_wait_for_another() -> None:
    events, calls = [Event() for _ in range(4)], []

    def again(event: Any) -> None:
        calls.append(event)
        if len(calls) < len(events):
            events[len(calls)].add_done_callback(again)
            events[len(calls)].set()

    events[0].add_done_callback(again)
    events[0].set()
    eventually(lambda: calls == events)


def test_callbacks_survive_a_fork_in_the_parent_alone() -> None:
    event, process, calls = Event(), start(), []
    event.add_done_callback(lambda event: calls.append(os.getpid()))
    process.add_done_callback(lambda process: calls.append(os.getpid()))
    pid = os.fork()
    if pid == 0:
        try:
            event.set()
            assert event.wait(5)
            assert threading.active_count() == 1
            other = Event()
            other.add_done_callback(calls.append)
            other.set()
            eventually(lambda: calls == [other])
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    eventually(lambda: calls == [os.getpid()])
    process.kill()
    eventually(lambda: calls == [os.getpid()] * 2)


def test_idle_callbacks_cost_nothing() -> None:
    def switches(thread: str) -> int:
        with open(f"/proc/self/task/{thread}/status") as status:
            return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)

    process, events = start(), [Event() for _ in range(100)]
    for thing in (process, *events):
        thing.add_done_callback(lambda thing: None)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "procession-callbacks"]
    eventually(lambda: len(callbacks._caller._pending) == 101)

    def rests() -> bool:
        before = switches(str(thread.native_id))
        time.sleep(0.3)
        return switches(str(thread.native_id)) == before

    eventually(rests, what="the thread sleeps on (it may have been on its way to bed)")
    for event in events:
        event.set()
    process.kill()
    eventually(lambda: not callbacks._caller._pending)
