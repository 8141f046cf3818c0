"""A scope, and the task that runs its block: it is cancelled by many, and may not even begin."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import weakref
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Loops

import procession
from procession import ProcessStateError
from procession.scopes.outcomes import Outcomes
from procession.testing.watch import eventually


@pytest.mark.parametrize("limited", [True, False])
def test_a_cancellation_that_comes_beside_a_failure_comes_again_unless_it_was_taken_back(limited: bool) -> None:
    """An `asyncio.timeout` takes its own back; the next await is not to be cancelled by nobody."""

    async def block(limit: asyncio.Timeout) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel = partial(limit.reschedule, 0) if limited else task.cancel
        async with procession.scope() as s:
            s.start(faults.sleep_for_ever)
            s.start(faults.raise_value_error).add_done_callback(lambda _: loop.call_soon_threadsafe(cancel))
            s.with_options(shield=True).start(time.sleep, 0.3)
            await asyncio.sleep(3600)

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.timeout(None) as limit:
                await block(limit)
        with nullcontext() if limited else pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == (0 if limited else 1)

    asyncio.run(main())


def test_a_block_that_does_not_begin_leaves_nothing_behind(loops: Loops) -> None:
    """Nor does it spoil trio's stack of cancel scopes."""

    async def main() -> None:
        async with procession.scope() as around:
            async with procession.scope() as s:
                pass
            with pytest.raises(ProcessStateError, match="opened before"):
                async with s:
                    pass
            await loops.pause()
        assert around.over

    loops.run(main)


def test_a_signal_s_handler_that_raises_as_a_block_begins(loops: Loops) -> None:
    class Came(Exception):
        pass

    def handle(*_: Any) -> None:
        raise Came

    async def main() -> None:
        async with procession.scope() as around:
            with pytest.raises(Came):
                async with procession.scope(timeout=0):
                    pass
            await loops.pause()
            await loops.pause()
        assert around.over

    before = signal.signal(signal.SIGUSR1, handle)
    opened = Outcomes.__init__

    def open_and_be_hit(outcomes: Outcomes) -> None:
        opened(outcomes)
        if not hit:
            hit.append(True)
        else:
            signal.raise_signal(signal.SIGUSR1)

    hit: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outcomes, "__init__", open_and_be_hit)
        loops.run(main)
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("function", [int, faults.raise_value_error])
def test_a_task_of_a_pool_is_in_no_circle_with_its_scope(function: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        with suppress(ExceptionGroup), procession.scope() as s:
            task = weakref.ref(s.submit(function))
        eventually(lambda: task() is None)
    finally:
        gc.enable()
