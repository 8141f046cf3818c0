"""The other ways to wait for a queue: in an event loop, among others, by a descriptor; and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import select
import signal
import threading
from typing import Any

import pytest

import procession
from procession import Closed, Event, JoinableQueue, Queue, SimpleQueue, _native
from procession.share.queues import Empty, Full
from procession.testing.watch import eventually


def waiting(queue: Any, part: int = _native.PART_ITEMS) -> int:
    count: int = queue._waiting(part)
    return count


async def until_waiting(queue: Any, count: int, part: int = _native.PART_ITEMS) -> None:
    async with asyncio.timeout(20):
        while waiting(queue, part) != count:
            await asyncio.sleep(0.001)


def test_get_async() -> None:
    async def main() -> None:
        queue = Queue()
        queue.put(1)
        assert await queue.get_async() == 1
        task = asyncio.create_task(queue.get_async())
        await until_waiting(queue, 1)
        queue.put(2)
        assert await task == 2
        with pytest.raises(Empty):
            await queue.get_async(timeout=0.01)
        with pytest.raises(Empty):
            await queue.get_async(timeout=0)

    asyncio.run(main())


def test_a_thousand_tasks_wait_without_a_thread() -> None:
    async def main() -> None:
        queue = Queue()
        tasks = [asyncio.create_task(queue.get_async()) for _ in range(1000)]
        await until_waiting(queue, 1000)
        assert threading.active_count() == 1
        await asyncio.to_thread(queue.put_many, range(1000))
        assert sorted(await asyncio.gather(*tasks)) == list(range(1000))

    asyncio.run(main())


def test_a_cancelled_get_has_taken_nothing() -> None:
    async def main() -> None:
        queue = Queue()
        first, second = asyncio.create_task(queue.get_async()), asyncio.create_task(queue.get_async())
        await until_waiting(queue, 2)
        first.cancel()
        queue.put("for the other")
        assert await second == "for the other"
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())


def test_put_async_waits_for_space() -> None:
    async def main() -> None:
        queue = Queue(1)
        await queue.put_async(1)
        with pytest.raises(Full):
            await queue.put_async(2, timeout=0.01)
        task = asyncio.create_task(queue.put_async(2))
        await until_waiting(queue, 1, _native.PART_SPACE)
        assert queue.get() == 1
        await task
        assert queue.get() == 2

    asyncio.run(main())


def test_a_task_sees_the_end() -> None:
    def put_and_close(queue: Any) -> None:
        queue.put(1)
        queue.close()

    async def main() -> None:
        queue = Queue()
        process = procession.Process(target=put_and_close, args=(queue,))
        process.start()
        assert await queue.get_async() == 1
        process.join()
        with pytest.raises(Closed):
            await queue.get_async()

    asyncio.run(main())


def test_tasks_of_several_processes_see_the_end() -> None:
    """Each waits in an event loop, and none of them could put."""

    def wait_for_the_end(queue: Any) -> None:
        async def main() -> None:
            with pytest.raises(Closed):
                await queue.get_async()

        asyncio.run(main())

    async def main() -> None:
        queue = Queue()
        other = pickle.loads(pickle.dumps(queue))
        processes = [procession.Process(target=wait_for_the_end, args=(queue,)) for _ in range(2)]
        for process in processes:
            process.start()
        await until_waiting(queue, 2)
        other.close()
        queue.close()
        for process in processes:
            assert await process == 0

    asyncio.run(main())


def test_join_async() -> None:
    async def main() -> None:
        queue = JoinableQueue()
        queue.put(1)
        assert await queue.join_async(timeout=0.01) is False
        task = asyncio.create_task(queue.join_async())
        await until_waiting(queue, 1, _native.PART_DONE)
        queue.get()
        queue.task_done()
        assert await task is True

    asyncio.run(main())


# --- among others ---


def test_closing_the_handle_ends_what_waits_for_space() -> None:
    async def main() -> None:
        queue = Queue(1)
        queue.put(1)
        put = asyncio.create_task(queue.put_async(2))
        space = asyncio.create_task(procession.wait_async([queue.space]))
        await until_waiting(queue, 2, _native.PART_SPACE)
        queue.close()
        async with asyncio.timeout(20):
            with pytest.raises(ValueError, match="closed"):
                await put
            assert (await space).done == {queue.space}

    asyncio.run(main())


def test_tasks_are_waited_for_though_the_handle_is_closed() -> None:
    """As by `join`: who has put all may close it."""
    queue = JoinableQueue()
    other = pickle.loads(pickle.dumps(queue))
    queue.put(1)
    calls: list[Any] = []
    queue.joined.add_done_callback(calls.append)
    queue.close()
    for _ in range(2):
        assert procession.wait([queue.joined], 0.01).done == set()
    assert not queue.joined.done()
    assert not queue.join(0)
    assert not calls
    other.get()
    other.task_done()
    assert procession.wait([queue.joined], 20).done == {queue.joined}
    eventually(lambda: calls == [queue.joined])


def test_wait_for_queues_among_others(ctx: Any) -> None:
    def put(queue: Any) -> None:
        queue.put(1)

    queue, other, event = ctx.Queue(), ctx.SimpleQueue(), ctx.Event()
    done, rest = procession.wait([queue, other, event], timeout=0.01)
    assert not done
    assert rest == {queue, other, event}
    process = ctx.Process(target=put, args=(queue,))
    process.start()
    done, _ = procession.wait([queue, other, event], return_when=procession.FIRST_COMPLETED)
    assert done == {queue}
    process.join()
    other.put(2)
    event.set()
    done, rest = procession.wait([queue, other, event, process])
    assert len(done) == 4
    assert not rest
    assert (queue.get(), other.get()) == (1, 2)


def test_who_only_looks_takes_no_wake_up_from_who_takes() -> None:
    """`procession.wait` and `get` wait for the same queue: the message wakes both, and `get` has it."""
    queue, event = Queue(), Event()
    got: list[Any] = []
    looks = threading.Thread(target=procession.wait, args=([queue, event],))
    takes = threading.Thread(target=lambda: got.append(queue.get()))
    looks.start()
    eventually(lambda: waiting(queue, _native.PART_WATCH) == 1, 10, "one looks")
    takes.start()
    eventually(lambda: waiting(queue) == 1, 10, "one waits")
    queue.put("message")
    takes.join()
    assert got == ["message"]
    event.set()
    queue.put("another")
    looks.join()


def test_the_reader_has_a_descriptor() -> None:
    queue = SimpleQueue()
    reader = queue._reader
    fd = reader.fileno()
    assert select.select([fd], [], [], 0)[0] == []
    queue.put(1)
    queue.put(2)
    assert select.select([fd], [], [], 10)[0] == [fd]
    assert reader.poll()
    assert reader.recv() == 1
    assert select.select([fd], [], [], 10)[0] == [fd]
    assert reader.recv() == 2
    assert select.select([fd], [], [], 0)[0] == []
    assert reader.poll(0.01) is False
    thread = threading.Thread(target=queue._writer.send, args=(3,))
    thread.start()
    assert reader.poll(20)
    thread.join()
    del reader, queue
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# --- interrupted ---


@pytest.mark.parametrize("wait", ["get", "put", "join"])
def test_ctrl_c_ends_the_wait(wait: str) -> None:
    queue = JoinableQueue(1)
    if wait != "get":
        queue.put(1)
    waits = {"get": (queue.get, _native.PART_ITEMS), "put": (lambda: queue.put(2), _native.PART_SPACE),
             "join": (queue.join, _native.PART_DONE)}  # fmt: skip
    call, part = waits[wait]

    def interrupt() -> None:
        """Until it is seen: one that comes between Python's last look at its signals and the sleep is seen with the next."""
        eventually(lambda: waiting(queue, part) == 1, 10, "it waits")
        while waiting(queue, part):
            os.kill(os.getpid(), signal.SIGINT)
            with contextlib.suppress(AssertionError):
                eventually(lambda: waiting(queue, part) == 0, 0.3)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    thread.join()
    assert waiting(queue, part) == 0
    assert queue.qsize() == (wait != "get")
