"""Whoever dies with a queue in its hands: the rest goes on."""

from __future__ import annotations

import gc
import os
import signal
import time
from typing import Any

import pytest

import procession
from procession import Closed, Queue, _native
from procession.testing.watch import eventually


def used() -> int:
    gc.collect()
    _native.kin_look_at_forks()  # (of other tests)
    size: int = _native.commons_facts()["arena_used"]
    return size


def test_a_producer_that_is_killed_leaves_whole_messages(ctx: Any) -> None:
    def put_for_ever(queue: Any) -> None:
        number = 0
        while True:
            queue.put((number, bytes([number % 256]) * (number % 7 * 10_000)))
            number += 1

    before = used()
    queue = ctx.Queue()
    for _ in range(5):
        process = ctx.Process(target=put_for_ever, args=(queue,))
        process.start()
        eventually(lambda queue=queue: queue.qsize() > 50, 20, "it puts")
        process.kill()
        process.join()
        expected = 0
        while not queue.empty():
            number, data = queue.get()
            assert number == expected
            assert data == bytes([number % 256]) * (number % 7 * 10_000)
            expected += 1
        assert expected > 50
    del queue, data
    eventually(lambda: used() <= before, 10, "all memory is back")


def test_a_consumer_that_is_killed_while_it_waits_takes_nothing(ctx: Any) -> None:
    def get(queue: Any) -> None:
        queue.get()

    queue = ctx.Queue()
    processes = [ctx.Process(target=get, args=(queue,)) for _ in range(3)]
    for process in processes:
        process.start()
    eventually(lambda: queue._waiting(_native.PART_ITEMS) == 3, 20, "all wait")
    for process in processes:
        process.kill()
        process.join()
    queue.put("message")
    assert queue.get(timeout=20) == "message"


def test_the_next_that_waits_gets_what_a_dead_one_had_in_hand(ctx: Any) -> None:
    """`redeliver`: it dies while it unpickles what it has taken out."""

    def get(queue: Any) -> None:
        queue.get()

    def die_there(parent: int) -> str:
        if os.getppid() == parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    class Deadly:
        def __reduce__(self) -> Any:
            return die_there, (os.getpid(),)

    queue = ctx.Queue(redeliver=True)
    queue.put(Deadly())
    process = ctx.Process(target=get, args=(queue,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert queue.qsize() == 1
    assert not queue.empty()
    assert queue.get(timeout=20) == "alive"
    assert queue.empty()


def test_without_redelivery_only_that_is_lost(ctx: Any) -> None:
    def get(queue: Any) -> None:
        queue.get()

    def die_there() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly:
        def __reduce__(self) -> Any:
            return die_there, ()

    queue = ctx.Queue()
    queue.put(Deadly())
    queue.put("next")
    process = ctx.Process(target=get, args=(queue,))
    process.start()
    process.join()
    assert queue.get(timeout=20) == "next"
    assert queue.empty()


def test_a_dead_producer_counts_as_one_that_has_closed(ctx: Any) -> None:
    def put(queue: Any, number: int, done: Any) -> None:
        queue.put(number)
        if number:
            queue.close()
        done.put(number)
        time.sleep(60)

    queue, done = ctx.Queue(), ctx.SimpleQueue()
    processes = [ctx.Process(target=put, args=(queue, number, done)) for number in range(2)]
    for process in processes:
        process.start()
    assert sorted([queue.get(), queue.get()]) == [0, 1]
    assert sorted([done.get(), done.get()]) == [0, 1]
    processes[0].kill()
    with pytest.raises(Closed):
        queue.get()
    processes[1].kill()
    for process in processes:
        process.join()


def test_memory_of_messages_that_nobody_got(ctx: Any) -> None:
    def put(queue: Any) -> None:
        for _ in range(5):
            queue.put(b"x" * 500_000)

    before = used()
    queue = ctx.Queue()
    process = ctx.Process(target=put, args=(queue,))
    process.start()
    process.join()
    assert used() >= before + 2_500_000
    del queue, process
    assert used() <= before


def test_a_child_that_never_received_its_queue(ctx: Any) -> None:
    before = used()
    for _ in range(20):
        queue = Queue()
        process = ctx.Process(target=len, args=(queue,))
        process.start()
        process.kill()
        process.join()
        del queue, process
    eventually(lambda: used() <= before, 10, "all memory is back")


def test_a_forked_child_has_the_queue_even_if_its_parent_drops_it_at_once() -> None:
    queue: Any = Queue()
    answers = procession.SimpleQueue()
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)  # until the parent has dropped it
        queue.put(b"z" * 100_000)
        answers.put(len(queue.get()))
        os._exit(0)
    os.close(ready)
    del queue
    gc.collect()
    os.close(go)
    assert answers.get() == 100_000
    os.waitpid(pid, 0)


def test_what_a_dead_fork_held_goes_at_the_next_fork() -> None:
    before = used()
    queue = Queue()
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        del queue
        queue = Queue()
    gc.collect()
    size = _native.commons_facts()["arena_used"]  # with what the last one held
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert _native.commons_facts()["arena_used"] < size
    del queue
    assert used() <= before
