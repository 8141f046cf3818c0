"""The four forms of waiting."""

from __future__ import annotations

import _thread
import asyncio
import os
import pathlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import procession
from procession import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, ProcessStateError, wait
from procession.process import callbacks
from procession.process.watch import Watch
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually


def start(ctx: Any, target: Any = int, *args: Any) -> Any:
    process = ctx.Process(target=target, args=args)
    process.start()
    return process


@contextmanager
def sleeper(ctx: Any) -> Iterator[Any]:
    process = start(ctx, sleep_for_ever)
    yield process
    process.kill()
    process.join()


# --- in place, several ---


def test_wait_for_all(ctx: Any) -> None:
    processes = [start(ctx, os._exit, n) for n in range(5)]
    done, not_done = wait(processes)
    assert (done, not_done) == (set(processes), set())
    assert [p.exitcode for p in processes] == list(range(5))


def test_wait_for_the_first(ctx: Any) -> None:
    with sleeper(ctx) as slow:
        quick = start(ctx)
        assert wait([slow, quick], return_when=FIRST_COMPLETED) == ({quick}, {slow})


def test_wait_for_the_first_exception(ctx: Any) -> None:
    with sleeper(ctx) as slow:
        good, bad = start(ctx), start(ctx, os._exit, 1)
        done, not_done = wait([slow, good, bad], return_when=FIRST_EXCEPTION)
        assert bad in done
        assert slow in not_done
        good.join()
        assert wait([good, bad], return_when=FIRST_EXCEPTION).done >= {bad}


def test_wait_time_out(ctx: Any) -> None:
    with sleeper(ctx) as slow:
        began = time.monotonic()
        assert wait([slow], timeout=0.1) == (set(), {slow})
        assert 0.09 < time.monotonic() - began < 10
        assert wait([slow], timeout=0) == (set(), {slow})
        assert wait([slow], timeout=-1) == (set(), {slow})


def test_wait_for_nothing() -> None:
    for how in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        assert wait([], return_when=how) == (set(), set())


def test_wait_takes_a_mix(ctx: Any) -> None:
    here, there = socket.socketpair()
    read, write = os.pipe()
    ours, theirs = procession.Pipe()
    with sleeper(ctx) as slow:
        quick = start(ctx)
        quick.join()
        mix = [slow, quick, here, read, ours]
        assert wait(mix, 0) == ({quick}, {slow, here, read, ours})
        there.send(b".")
        os.write(write, b".")
        theirs.send(1)
        assert wait(mix, 5, FIRST_COMPLETED).not_done >= {slow}
        assert wait(mix, 0.05).done == {quick, here, read, ours}
        assert slow.sentinel
        assert wait([slow.sentinel], 0).not_done == {slow.sentinel}
    for thing in (here, there, ours, theirs):
        thing.close()
    os.close(read)
    os.close(write)


def test_a_regular_file_can_be_read_by_whatever_name(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert wait([file, file.fileno()], 1).done == {file, file.fileno()}


def test_a_bell_for_which_there_was_no_room_is_tried_anew() -> None:
    event, watch = procession.Event(), Watch()
    epoll, watch._epoll = watch._epoll, None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        watch.add(event)
    watch._epoll = epoll
    watch.add(event)
    event.set()
    events = watch.sleep(10)
    assert events
    watch.look(events)
    assert list(watch.done()) == [event]
    watch.close()


def test_wait_refuses_what_cannot_be_waited_for(ctx: Any) -> None:
    with pytest.raises(TypeError, match="cannot wait for"):
        wait([object()])
    with pytest.raises(ValueError, match="not started"):
        wait([ctx.Process()])
    with pytest.raises(ValueError, match="return_when"):
        wait([], return_when="SOMETIME")


def test_a_thousand_waits_leave_no_descriptors(ctx: Any) -> None:
    process = start(ctx)
    process.join()
    for _ in range(1000):
        assert wait([process], 0).done == {process}


def test_join_from_several_threads(ctx: Any) -> None:
    process = start(ctx, sleep_for_ever)
    codes: list[int | None] = []

    def join() -> None:
        process.join()
        codes.append(process.exitcode)

    threads = [threading.Thread(target=join) for _ in range(6)]
    for thread in threads:
        thread.start()
    process.kill()
    for thread in threads:
        thread.join(10)
    assert codes == [-9] * 6


class Alarm(Exception):
    pass


def alarmed(first: float, every: float, call: Callable[..., Any], *args: Any) -> Any:
    """The call, while alarms ring. (Again and again: one that comes just before the sleep is seen with the next. Within the
    very statement that expects it: it may come early on a busy machine.)"""
    signal.setitimer(signal.ITIMER_REAL, first, every)
    return call(*args)


@pytest.mark.parametrize("how", ["join", "join timeout", "wait", "os.wait", "os.waitpid"])
def test_a_signal_whose_handler_raises_interrupts(ctx: Any, how: str) -> None:
    def handler(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Alarm

    old = signal.signal(signal.SIGALRM, handler)
    try:
        with sleeper(ctx) as slow:
            call = {
                "join": lambda: slow.join(),
                "join timeout": lambda: slow.join(30),
                "wait": lambda: wait([slow]),
                "os.wait": lambda: os.wait(),
                "os.waitpid": lambda: os.waitpid(slow.pid, 0),
            }[how]
            began = time.monotonic()
            with pytest.raises(Alarm):
                alarmed(0.1, 0.1, call)
            assert time.monotonic() - began < 10
            assert slow.is_alive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_a_signal_whose_handler_returns_does_not(ctx: Any) -> None:
    seen: list[float] = []
    old = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        with sleeper(ctx) as slow:
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            began = time.monotonic()
            slow.join(0.3)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert 0.28 < time.monotonic() - began < 10
            assert slow.exitcode is None
            assert len(seen) > 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# --- callbacks ---


def test_a_callback_is_called_once_with_the_process(ctx: Any) -> None:
    process = start(ctx, sleep_for_ever)
    calls: list[Any] = []
    process.add_done_callback(lambda p: calls.append((p, p.exitcode)))
    process.add_done_callback(lambda p: calls.append("second"))
    assert calls == []
    process.kill()
    eventually(lambda: len(calls) == 2)
    assert calls == [(process, -9), "second"]
    process.join()


def test_a_callback_on_an_ended_process(ctx: Any) -> None:
    process = start(ctx)
    process.join()
    calls: list[Any] = []
    process.add_done_callback(calls.append)
    eventually(lambda: calls == [process])


def test_one_of_ours_that_raises_ends_no_thread(ctx: Any, capfd: Any) -> None:
    came = threading.Event()
    process = start(ctx)
    callbacks.add(process, lambda process: 1 / 0, quick=True)
    callbacks.add(process, lambda process: came.set(), quick=True)
    assert came.wait(10)
    process.join()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_callback_that_raises_is_reported_and_harms_no_other(ctx: Any, capfd: Any) -> None:
    process = start(ctx, sleep_for_ever)
    calls: list[Any] = []
    process.add_done_callback(lambda p: 1 / 0)
    process.add_done_callback(calls.append)
    process.kill()
    eventually(lambda: calls == [process])
    err = capfd.readouterr().err
    assert "ZeroDivisionError" in err
    assert process.name in err
    process.join()


def test_callbacks_on_many(ctx: Any) -> None:
    calls: list[int] = []
    processes = [start(ctx, os._exit, n) for n in range(8)]
    for process in processes:
        process.add_done_callback(lambda p: calls.append(p.exitcode))
    eventually(lambda: sorted(calls) == list(range(8)), 20)


def test_a_callback_may_start_a_process_and_add_a_callback() -> None:
    codes: list[int] = []

    def again(process: Any) -> None:
        codes.append(process.exitcode)
        if len(codes) < 4:
            start(procession, os._exit, len(codes)).add_done_callback(again)

    start(procession, os._exit, 0).add_done_callback(again)
    eventually(lambda: codes == [0, 1, 2, 3])


def test_a_fork_in_a_thread_that_threading_does_not_know_stops_the_watcher_and_lists_nobody() -> None:
    """It would be listed as a dummy for ever: so are the threads of pools, which fork."""
    process = procession.Process(target=sleep_for_ever)
    process.start()
    process.add_done_callback(id)
    before, done = set(threading.enumerate()), threading.Lock()

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        done.release()

    done.acquire()
    _thread.start_new_thread(fork, ())
    assert done.acquire(timeout=20)
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert names <= {"procession-callbacks"}
    process.kill()
    process.join()


def test_a_callback_before_the_start_is_refused(ctx: Any) -> None:
    with pytest.raises(ProcessStateError):
        ctx.Process().add_done_callback(print)


# --- await ---


def test_await(ctx: Any) -> None:
    async def main() -> list[int]:
        process = start(ctx, os._exit, 4)
        first = await process
        return [first, await process]

    assert asyncio.run(main()) == [4, 4]


def test_many_await_one_and_one_awaits_many(ctx: Any) -> None:
    async def one(process: Any) -> int:
        code: int = await process
        return code

    async def main() -> list[int]:
        slow = start(ctx, time.sleep, 0.05)
        others = [start(ctx, os._exit, n) for n in (1, 2)]
        return list(await asyncio.gather(one(slow), one(slow), one(slow), *map(one, others)))

    assert asyncio.run(main()) == [0, 0, 0, 1, 2]


def test_the_loop_runs_on_during_an_await(ctx: Any) -> None:
    async def main() -> int:
        ticks = 0
        process = start(ctx, time.sleep, 0.2)

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        await process
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) >= 5


def test_a_cancelled_await_leaves_the_process_alone(ctx: Any) -> None:
    async def one(process: Any) -> int:
        code: int = await process
        return code

    async def main() -> int:
        process = start(ctx, sleep_for_ever)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(one(process), 0.1)
        assert process.is_alive()
        process.kill()
        return await one(process)

    assert asyncio.run(main()) == -9
