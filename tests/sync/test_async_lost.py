"""A condition's wait that ends without its lock, while another task of the same thread has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loops import run, until_waiters

from procession import Condition, Lock, RLock
from procession.errors import OwnerDied
from procession.sync.condition import Condition as ConditionType


@pytest.fixture(params=[Lock, RLock])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_wait_that_is_thrown_away_leaves_anothers_lock_alone(make: Any) -> None:
    """The blocks round it are left in whatever task runs then."""
    lock = make()
    condition = Condition(lock)

    async def one() -> None:
        async with condition:
            await condition.wait_async()

    thrown_away = asyncio.new_event_loop()
    task: Any = thrown_away.create_task(one())
    thrown_away.run_until_complete(until_waiters(condition, 1))
    thrown_away.close()
    task._log_destroy_pending = False

    async def other() -> None:
        async with condition:
            task.get_coro().close()
            assert lock._is_mine()
        assert not lock.locked()

    run(other)
    assert not condition.waiters


def test_who_is_refused_the_lock_leaves_the_next_holders_alone(make: Any, actor: Any, monkeypatch: Any) -> None:
    """Before the block is left, another has put things in order and taken it."""
    lock = make(on_owner_death="raise")
    condition, holder = Condition(lock), actor()
    refused = asyncio.Event()
    again = ConditionType._again

    async def observed(*args: Any) -> None:
        try:
            await again(*args)
        except OwnerDied:
            refused.set()
            raise

    monkeypatch.setattr(ConditionType, "_again", observed)

    def notify() -> None:
        lock.acquire()
        condition.notify()

    async def one() -> None:
        with pytest.raises(OwnerDied):
            async with condition:
                await condition.wait_async()
        assert lock.locked()
        with pytest.raises(ZeroDivisionError):  # (what it had lost then is not remembered)
            async with condition:
                raise ZeroDivisionError
        assert not lock.locked()

    async def other() -> None:
        await refused.wait()
        lock.mark_consistent()
        async with lock:
            await until_waiters(lock, 1)
            assert lock.locked()

    async def main() -> None:
        waiting = asyncio.create_task(one())
        following = asyncio.create_task(other())
        await until_waiters(condition, 1)
        holder(notify)
        holder.kill()
        await following
        await waiting

    run(main)
