"""Blocks that are coroutine functions: what is theirs, and what they await."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import time
from concurrent.futures import CancelledError

from gates import LIMIT, serial

from procession import ProcessPoolExecutor


async def precision(digits: int) -> int:
    """As it was. What it is from now on stands in a context variable."""
    before = decimal.getcontext().prec
    decimal.setcontext(decimal.Context(prec=digits))
    return before


def test_context_variables_are_each_coroutine_s_own() -> None:
    with ProcessPoolExecutor(1, initializer=precision, initargs=(40,)) as executor:
        queue = serial(executor=executor)
        assert [queue.sync(precision, 7), queue.sync(precision, 8), executor.submit(precision, 9).result(LIMIT)] == [40] * 3


def test_who_waits_for_what_the_block_itself_cancels_is_told() -> None:
    with ProcessPoolExecutor(1) as executor:
        queue, other = serial("a", executor=executor), serial("b", executor=executor)

        async def block() -> bool:
            future = other.async_(time.sleep, 60)
            asyncio.get_running_loop().call_later(0.01, future.cancel)
            with contextlib.suppress(CancelledError):
                await asyncio.wait_for(future.result_async(stop=False), LIMIT)
            return future.cancelled()

        assert queue.async_(block).result(LIMIT * 2)
