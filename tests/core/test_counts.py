"""What is no whole number is refused at the call, in words, wherever one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from procession import Barrier, BoundedSemaphore, Condition, Pool, ProcessPoolExecutor, Queue, Semaphore, get_reusable_executor
from procession.core.counts import count_of


class Seven:
    def __index__(self) -> int:
        return 7


def notify(n: Any) -> None:
    condition = Condition()
    with condition:
        condition.notify(n)


def get_many(most: Any) -> None:
    queue = Queue()
    queue.put(1)
    queue.get_many(most)


def executor_map(chunksize: Any) -> None:
    with ProcessPoolExecutor(1) as executor:
        executor.map(abs, [1], chunksize=chunksize)


def pool_map(chunksize: Any) -> None:
    with Pool(1) as pool:
        pool.map(abs, [1], chunksize)


def pool_imap(chunksize: Any) -> None:
    with Pool(1) as pool:
        pool.imap(abs, [1], chunksize)


CALLS: dict[str, Callable[[Any], object]] = {
    "n": notify,
    "most": get_many,
    "a semaphore's value": Semaphore,
    "parties": Barrier,
    "max_workers": ProcessPoolExecutor,
    "processes": Pool,
}


@pytest.mark.parametrize("wrong", ["x", 1.5, [1]], ids=repr)
@pytest.mark.parametrize("what", CALLS)
def test_what_is_no_whole_number_is_refused(what: str, wrong: Any) -> None:
    with pytest.raises(TypeError) as caught:
        CALLS[what](wrong)
    assert str(caught.value) == f"{what} must be a whole number; got {wrong!r}"


@pytest.mark.parametrize("call", [executor_map, pool_map, pool_imap, BoundedSemaphore, get_reusable_executor])
def test_so_is_it_there(call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"must be a whole number; got 1\.5"):
        call(1.5)


def test_what_counts_as_one() -> None:
    assert count_of(Seven(), "it") == 7
    assert Semaphore(Seven()).get_value() == 7  # type: ignore[arg-type]


def test_a_shared_executor_that_cannot_be_had_leaves_the_one_there_is() -> None:
    executor = get_reusable_executor(1)
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        get_reusable_executor(-1, idle_timeout=3)
    assert executor.submit(abs, -1).result(30) == 1
    assert get_reusable_executor(1) is executor
    executor.shutdown()
