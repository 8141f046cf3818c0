"""The running event loop, of asyncio and of trio: what all waits in loops stand on."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from eventloops import LOOPS, Run
from procession.core import loops
from procession.testing import leaks
from procession.testing.watch import eventually


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in that library's loop."""
    return Run(request.param)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    first, second = socket.socketpair()
    first.setblocking(False)
    with first, second:
        yield first, second


def test_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        loops.current()


def test_one_for_each_loop(run: Run) -> None:
    async def main() -> Any:
        found = loops.current()
        await run.sleep(0)
        assert loops.current() is found
        assert isinstance({found: 1}[found], int)
        return found

    first = run(main)
    assert first is not run(main)


def test_notes(run: Run) -> None:
    async def main() -> None:
        loop = loops.current()
        note = loop.note()
        assert not note.is_set()
        began = loop.time()
        assert await note.wait(loop.time() + 0.02) is False
        assert loop.time() - began >= 0.02
        assert await note.wait(loop.time() - 1) is False
        async with run.tasks() as start:
            start(set_it, note)
            assert await note.wait() is True
        assert note.is_set()
        note.set()
        assert await note.wait(loop.time() - 1) is True

    async def set_it(note: Any) -> None:
        note.set()

    run(main)


def test_a_cancelled_wait_for_a_note(run: Run) -> None:
    async def main() -> None:
        note = loops.current().note()
        assert await run.cancelled(note.wait) is True
        assert not note.is_set()
        note.set()
        assert await note.wait() is True

    run(main)


def test_from_a_thread(run: Run) -> None:
    found: list[Any] = []

    async def main() -> None:
        loop = loops.current()
        note = loop.note()
        thread = threading.Thread(target=loop.from_thread, args=(note.set,))
        thread.start()
        assert await note.wait(loop.time() + 20)
        thread.join()
        found.append(loop)

    run(main)
    found[0].from_thread(found.append, 1)
    assert len(found) == 1


def test_deadlines(run: Run) -> None:
    async def main() -> None:
        loop = loops.current()
        assert loop.deadline(None) is None
        assert abs((loop.deadline(3) or 0) - loop.time() - 3) < 1
        with pytest.raises(ValueError, match="NaN"):
            loop.deadline(float("nan"))
        with pytest.raises(TypeError):
            loop.deadline("3")  # type: ignore[arg-type]

    run(main)


# --- descriptors ---


def test_usable(run: Run, pair: Any) -> None:
    """Many tasks at one descriptor, which the user reads, too; and the other way at once."""
    first, second = pair

    async def main() -> list[str]:
        loop, told = loops.current(), []

        async def one(name: str, write: bool) -> None:
            await loop.usable(first.fileno(), write)
            told.append(name)

        async with run.tasks() as start:
            start(run.readable, first)
            for _ in range(3):
                start(one, "read", False)
            start(one, "write", True)
            await run.until(lambda: bool(told))
            assert told == ["write"]
            second.send(b"1")
        return told

    assert run(main) == ["write"] + ["read"] * 3


def test_usable_at_its_end(run: Run, pair: Any) -> None:
    first, second = pair

    async def main() -> None:
        loop = loops.current()
        while True:
            try:
                first.send(bytes(1 << 20))
            except BlockingIOError:
                break
        async with run.tasks() as start:
            for write in (False, True):
                start(loop.usable, first.fileno(), write)
            await run.sleep(0.01)
            second.close()

    run(main)


def test_what_is_always_usable_and_what_never_is(run: Run, tmp_path: Any) -> None:
    async def main() -> None:
        with open(tmp_path / "file", "w") as file:
            await loops.current().usable(file.fileno())
            with pytest.raises(PermissionError):
                loops.current().watch(file.fileno(), print)
            number = file.fileno()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await loops.current().usable(number)

    run(main)


def test_a_cancelled_wait_leaves_the_others(run: Run, pair: Any) -> None:
    first, second = pair

    async def main() -> None:
        loop = loops.current()
        async with run.tasks() as start:
            start(loop.usable, first.fileno())
            assert await run.cancelled(loop.usable, first.fileno())
            assert await run.cancelled(loop.usable, first.fileno(), True) in (True, False)
            second.send(b"1")

    run(main)


def test_a_number_that_stands_for_something_else(run: Run) -> None:
    """Closed without a word, while somebody waits, and open elsewhere."""

    async def main() -> None:
        loop, told = loops.current(), []
        first, second = socket.socketpair()
        elsewhere = os.dup(first.fileno())

        async def one(name: str) -> None:
            await loop.usable(number)
            told.append(name)

        async with run.tasks() as start:
            number = first.detach()
            start(one, "old")
            await run.sleep(0.01)
            third, fourth = socket.socketpair()
            os.dup2(third.fileno(), number)
            start(one, "new")
            await run.until(lambda: told == ["old"])
            second.send(b"1")  # (nobody waits for that any more)
            await run.sleep(0.01)
            while told == ["old"]:
                fourth.send(b"1")
                await run.sleep(0.001)
        for fd in (number, elsewhere):
            os.close(fd)
        for each in (second, third, fourth):
            each.close()
        assert loop._lookout.look() is None

    run(main)


def test_closing(run: Run) -> None:
    async def main() -> None:
        first, second = socket.socketpair()
        loop = loops.current()
        async with run.tasks() as start:
            for write in (False, False):
                start(loop.usable, first.fileno(), write)
            await run.sleep(0.01)
            thread = threading.Thread(target=lambda: (loops.closing(first.fileno()), first.close()))
            thread.start()
        thread.join()
        second.close()

    run(main)


def test_watch(run: Run, pair: Any) -> None:
    first, second = pair
    got: list[bytes] = []

    async def main() -> None:
        loop = loops.current()
        ends = [loop.watch(first.fileno(), lambda: got.append(first.recv(1)))]
        for n in range(3):
            second.send(b"1")
            await run.until(lambda n=n: len(got) == n + 1)
        ends[0]()
        ends[0]()
        second.send(b"1")
        await run.sleep(0.01)
        assert len(got) == 3

    run(main)


def test_a_watch_that_fails_harms_no_other(run: Run, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair
    reported: list[Any] = []
    monkeypatch.setattr("sys.excepthook", lambda *error: reported.append(error))

    async def main() -> None:
        loop = loops.current()
        if run.library == "asyncio":
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        end = loop.watch(first.fileno(), lambda: 1 // 0)
        second.send(b"1")
        await run.until(lambda: bool(reported))
        end()
        await loop.usable(first.fileno())

    run(main)


def test_ten_thousand_waits_are_one_descriptor_more(run: Run, pair: Any) -> None:
    first, second = pair

    async def main() -> None:
        loop = loops.current()
        before = leaks.descriptors().total()
        async with run.tasks() as start:
            for _ in range(10_000 if run.library == "asyncio" else 2_000):
                start(loop.usable, first.fileno())
            await run.sleep(0.01)
            assert leaks.descriptors().total() <= before + 1
            second.send(b"1")

    before = leaks.descriptors().total()
    run(main)
    assert leaks.descriptors().total() <= before


def test_a_loop_that_ends_while_somebody_waits(pair: Any) -> None:
    """The loop is closed, and the task is found by the garbage collector."""
    first, second = pair
    loop = asyncio.new_event_loop()

    async def main() -> None:
        await loops.current().usable(first.fileno())

    task = loop.create_task(main())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    del task, loop
    gc.collect()
    second.send(b"1")
    assert select.select([first], [], [], 10)[0]


def test_a_fork_in_a_loop(run: Run, pair: Any) -> None:
    """The child has nothing of it, may have a loop itself, and what it does reaches nothing of the parent's."""
    first, second = pair

    def child() -> int:
        async def main() -> None:
            mine, other = socket.socketpair()
            with mine, other:
                other.send(b"1")
                await loops.current().usable(mine.fileno())

        asyncio.run(main())
        return 7

    async def main() -> None:
        loop = loops.current()
        async with run.tasks() as start:
            start(loop.usable, first.fileno())
            await run.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    code = _in_thread(child) if run.library == "asyncio" else child()
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
            second.send(b"1")

    run(main)


def _in_thread(call: Any) -> int:
    """(asyncio itself lets no child of a fork in a loop run one in the same thread, in some versions.)"""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


# --- tasks ---


def test_who_runs(run: Run) -> None:
    async def main() -> None:
        loop, found = loops.current(), []

        async def one() -> None:
            found.append(loop.task())

        async with run.tasks() as start:
            start(one)
            start(one)
        assert len({*found, loop.task()}) == 3
        assert None not in found

    run(main)


def test_two_loops_in_two_threads(run: Run, pair: Any) -> None:
    first, second = pair
    found: list[Any] = []

    async def main() -> None:
        found.append(loops.current())
        await loops.current().usable(first.fileno())

    threads = [threading.Thread(target=run, args=(main,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(found) == 2)
    second.send(b"1")
    for thread in threads:
        thread.join()
    assert found[0] is not found[1]
