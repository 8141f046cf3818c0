"""A scope, and the task that runs its block: it is cancelled by many, and may not even begin."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from functools import partial

import pytest
import scope_faults as faults

import procession


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
