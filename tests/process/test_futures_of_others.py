"""Futures of the standard library among what is waited for: who cancels one tells only its callbacks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import procession
from procession import ScopeTimeout
from procession.testing.watch import eventually

LIMIT = 20.0


@pytest.fixture
def future() -> Iterator[Future[Any]]:
    """Somebody cancels it as soon as it is waited for."""
    made: Future[Any] = Future()

    def cancel() -> None:
        eventually(lambda: bool(made._waiters), LIMIT)  # type: ignore[attr-defined]
        made.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    yield made
    canceller.join()


@pytest.mark.parametrize(
    "form",
    [
        lambda future: procession.wait([future], LIMIT).done,
        lambda future: set(procession.as_completed([future], LIMIT)),
        lambda future: asyncio.run(procession.wait_async([future], LIMIT)).done,
    ],
)
def test_one_that_is_cancelled_meanwhile_is_done(future: Future[Any], form: Callable[[Any], set[Any]]) -> None:
    assert form(future) == {future}
    assert future.cancelled()


def test_nothing_is_left_in_one_that_is_waited_for_in_vain() -> None:
    future: Future[Any] = Future()
    procession.wait([future], 0)
    assert (future._waiters, future._done_callbacks) == ([], [])  # type: ignore[attr-defined]
    future.set_result(1)
    procession.wait([future])
    assert (future._waiters, future._done_callbacks) == ([], [])  # type: ignore[attr-defined]


def test_a_scope_does_not_wait_for_one_that_it_has_cancelled() -> None:
    future: Future[Any] = Future()
    with pytest.raises(ScopeTimeout), procession.scope(0.01) as s:
        s.adopt(future)
    assert future.cancelled()


def test_a_program_that_has_nothing_else_of_procession(program: Any) -> None:
    done = program.run_script("""
        from concurrent.futures import ThreadPoolExecutor
        import procession

        with ThreadPoolExecutor(1) as executor:
            print(len(procession.wait([executor.submit(abs, 1)]).done))
    """)
    assert (done.stdout, done.stderr) == ("1\n", "")
