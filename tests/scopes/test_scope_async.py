"""`procession.scope` in an ``async with``, under asyncio and trio."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Loops, Marks

import procession
from procession import ProcessStateError, ScopeEnded, ScopeTimeout


def test_results_come_home(loops: Loops) -> None:
    async def main() -> None:
        async with procession.scope() as s:
            child, task = s.start(abs, -1), s.submit(pow, 2, 5)
            assert await child == 1
            assert await s.start(abs, -2).result_async(30) == 2
            with pytest.raises(TimeoutError):
                await s.start(faults.sleep_for_ever).result_async(0.01)
            stopped = s.start(faults.sleep_for_ever)
            with pytest.raises(TimeoutError):
                await stopped.result_async(0.01, stop=True)
            with pytest.raises(CancelledError):
                await stopped.exception_async()
            assert await child.exception_async() is None
            s.cancel()
        assert task.done()
        assert procession.active_children() == []

    loops.run(main)


@pytest.mark.parametrize("how", ["start", "submit"])
def test_the_first_failure_cancels_the_block(loops: Loops, how: str) -> None:
    handles: list[Any] = []

    async def main(function: Any) -> None:
        async with procession.scope() as s:
            handles[:] = [s.start(faults.sleep_for_ever), getattr(s, how)(function)]
            await loops.sleep_for_ever()

    async def all_of_them() -> None:
        for name, (function, error, task_error) in faults.FAULTS.items():
            with pytest.raises(BaseExceptionGroup) as caught:
                await main(function)
            assert [type(each) for each in caught.value.exceptions] == [type(handles[1].exception())], name
            assert isinstance(handles[1].exception(), error if how == "start" else task_error), name
            assert handles[0].cancelled(), name
            assert procession.active_children() == [], name

    loops.run(all_of_them)


def test_what_the_block_raises_ends_all_and_is_in_the_group(loops: Loops) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with procession.scope() as s:
                child = s.start(faults.sleep_for_ever)
                raise LookupError("the block")
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        assert child.cancelled()

    loops.run(main)


def test_a_failed_result_that_the_block_awaited_is_there_once(loops: Loops) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with procession.scope() as s:
                await s.start(faults.raise_value_error)
        assert [type(error) for error in caught.value.exceptions] == [ValueError]

    loops.run(main)


def test_cancel_ends_all_and_raises_nothing(loops: Loops) -> None:
    async def main() -> None:
        async with procession.scope() as s:
            children = [s.start(faults.sleep_for_ever), s.submit(faults.sleep_for_ever)]
            s.cancel()
            await loops.sleep_for_ever()
        assert all(child.cancelled() for child in children)
        await loops.pause()  # (nothing of the cancellation is left)
        async with procession.scope() as s:
            child = s.start(faults.sleep_for_ever)
            child.cancel()
            with pytest.raises(CancelledError):
                await child

    loops.run(main)


def test_a_time_limit_cancels_the_block(loops: Loops) -> None:
    async def main() -> None:
        with pytest.raises(ScopeTimeout):
            async with procession.scope(0.05) as s:
                s.start(faults.sleep_for_ever)
                await loops.sleep_for_ever()
        with pytest.raises(ScopeTimeout, match="sleep_for_ever"):
            async with procession.scope(0.05) as s:
                s.start(faults.sleep_for_ever)
        await loops.pause()

    loops.run(main)


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_a_cancellation_from_outside_ends_all_and_goes_on(loops: Loops, where: str) -> None:
    children: list[Any] = []

    async def block() -> None:
        async with procession.scope() as s:
            children.append(s.start(faults.sleep_for_ever))
            if where == "in the block":
                await loops.sleep_for_ever()

    async def cancelled() -> bool:
        if loops.name == "trio":
            with loops._trio().move_on_after(0.05) as scope:
                await block()
            return bool(scope.cancelled_caught)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await block()
        task = asyncio.current_task()
        assert task is not None
        return not task.cancelling()

    async def main() -> None:
        assert await cancelled()
        assert children[0].cancelled()
        await loops.pause()

    loops.run(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_in_anyio(backend: str) -> None:
    anyio = pytest.importorskip("anyio", reason="anyio is not installed")
    if backend == "trio":
        pytest.importorskip("trio", reason="trio is not installed")
    children: list[Any] = []

    async def fail() -> None:
        async with procession.scope() as s:
            s.start(faults.raise_value_error)
            await anyio.sleep_forever()

    async def main() -> None:
        with anyio.move_on_after(0.02) as limit:
            async with procession.scope() as s:
                children.append(s.start(faults.sleep_for_ever))
        assert limit.cancelled_caught
        assert children[0].cancelled()
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                group.start_soon(anyio.sleep_forever)
        assert caught.group_contains(ValueError, match="fails")

    anyio.run(main, backend=backend)


def test_a_failure_while_it_is_left(loops: Loops, marks: Marks) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with procession.scope() as s:
                other = s.start(faults.sleep_for_ever)
                s.start(faults.raise_value_error)
        assert [type(error) for error in caught.value.exceptions] == [ValueError]
        assert other.cancelled()
        await loops.pause()

    loops.run(main)


# --- inner scopes ---


@pytest.mark.parametrize("inner_kind", ["async", "sync"])
def test_an_inner_scope_ends_with_the_outer_one(loops: Loops, inner_kind: str) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with procession.scope() as outer:
                if inner_kind == "async":
                    async with procession.scope() as inner:
                        child = inner.start(faults.sleep_for_ever)
                        outer.start(faults.raise_value_error)
                        await loops.sleep_for_ever()
                else:
                    with procession.scope() as inner:
                        child = inner.start(faults.sleep_for_ever)
                        outer.start(faults.raise_value_error)
                raise AssertionError("not reached")
        assert [type(error) for error in caught.value.exceptions] == [ValueError]
        assert child.cancelled()
        await loops.pause()

    loops.run(main)


def test_a_loop_within_a_scope_of_its_thread(loops: Loops) -> None:
    async def main() -> None:
        async with procession.scope() as inner:
            inner.start(faults.sleep_for_ever)
            outer.cancel()
            await loops.sleep_for_ever()

    with procession.scope() as outer:
        with pytest.raises(ScopeEnded, match="cancelled"):
            loops.run(main)
    assert outer.over


def test_a_shielded_inner_scope_is_let_finish(loops: Loops, marks: Marks) -> None:
    steps: list[str] = []

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with procession.scope() as outer:
                async with procession.scope(shield=True) as inner:
                    child = inner.start(faults.until, marks.folder, "go")
                    outer.start(faults.raise_value_error)
                    await loops.eventually(lambda: outer.failing)
                    await loops.pause()
                    faults.mark(marks.folder, "go")
                    steps.append(await child)
                await loops.sleep_for_ever()
        assert steps == ["go"]
        await loops.pause()

    loops.run(main)


@pytest.mark.parametrize("where", ["block", "leaving"])
def test_trio_keeps_a_shielded_scope_from_its_own_cancellation(where: str, marks: Marks) -> None:
    loops = Loops("trio")
    trio = loops._trio()

    async def go_on(scope: Any) -> None:
        marks.wait("up")
        scope.cancel()
        for _ in range(10):
            await loops.pause()
        faults.mark(marks.folder, "go")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as outer:
                async with procession.scope(shield=True) as s:
                    child = s.start(faults.mark_and_wait, marks.folder, "up", "go")
                    nursery.start_soon(go_on, outer)
                    if where == "block":
                        await child
                await trio.lowlevel.checkpoint()
        assert outer.cancelled_caught
        assert child.result(0) == "go"

    loops.run(main)


def test_one_that_is_dropped_cancels_nobody() -> None:
    """Its block was a generator's that nobody has closed. (trio's cancel scope, which it has there, must be left.)"""
    loops = Loops("asyncio")
    children: list[Any] = []

    async def main() -> None:
        block = procession.scope()
        await type(block).__aenter__(block)
        children.append(block.start(faults.sleep_for_ever))
        with pytest.warns(ResourceWarning, match="never left"):
            del block
        await loops.eventually(children[0].cancelled)
        for _ in range(3):
            await loops.pause()

    loops.run(main)


def test_scopes_in_tasks_beside_each_other(loops: Loops) -> None:
    done: list[int] = []

    async def one(number: int) -> None:
        async with procession.scope() as s:
            done.append(await s.start(abs, -number))

    async def fail() -> None:
        with pytest.raises(ExceptionGroup):
            async with procession.scope() as s:
                s.start(faults.die)
                await loops.sleep_for_ever()

    async def main() -> None:
        if loops.name == "trio":
            async with loops._trio().open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(one, number)
                nursery.start_soon(fail)
        else:
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(one(number))
                group.create_task(fail())

    loops.run(main)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_it_is_left_by_the_task_that_opened_it(loops: Loops) -> None:
    async def main() -> None:
        s = procession.scope()
        async with s:
            found: list[BaseException] = []

            async def leave() -> None:
                try:
                    await s.__aexit__(None, None, None)
                except ProcessStateError as error:
                    found.append(error)

            if loops.name == "trio":
                async with loops._trio().open_nursery() as nursery:
                    nursery.start_soon(leave)
            else:
                await asyncio.create_task(leave())
            assert len(found) == 1

    loops.run(main)


@pytest.mark.parametrize("what", ["task", "closed queue"])
def test_the_loop_goes_on_while_it_is_left(loops: Loops, marks: Marks, what: str) -> None:
    """Also while the workers of its pool end."""

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while "go" not in marks.made():
                await loops.pause()
                ticks += 1
                if ticks == 20:
                    faults.mark(marks.folder, "go")

        async def block() -> None:
            async with procession.scope() as s:
                if what == "task":
                    s.submit(faults.until, marks.folder, "go")
                    return
                queue = s.queue("kitchen")
                queue.async_(faults.until, marks.folder, "go")
                queue.close()

        if loops.name == "trio":
            async with loops._trio().open_nursery() as nursery:
                nursery.start_soon(tick)
                await block()
        else:
            await asyncio.gather(tick(), block())
        assert ticks >= 20

    began = time.monotonic()
    loops.run(main)
    assert time.monotonic() - began < 20
