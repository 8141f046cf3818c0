"""What is left of a block that failed: nothing, as soon as its error was handled."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from gates import concurrent_, serial

from procession import dispatch
from procession.pool import dropping
from procession.testing.watch import eventually


def errors_left(call: Callable[[], object]) -> int:
    """How many errors of that call are there still, once it was caught, if nobody looks for circles."""

    def errors() -> int:
        return sum(isinstance(each, ZeroDivisionError) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = errors()
        with suppress(ZeroDivisionError):
            call()
        return errors() - before
    finally:
        gc.enable()


def divide(number: int = 0) -> float:
    return 1 / number


CALLS: list[Any] = [lambda queue: queue.sync(divide), lambda queue: queue.apply(3, divide)]


@pytest.mark.parametrize("call", CALLS)
def test_an_error_goes_with_who_caught_it(call: Any) -> None:
    queue = concurrent_()
    assert errors_left(lambda: call(queue)) == 0


@pytest.mark.parametrize("call", CALLS)
def test_so_it_does_in_a_block(call: Any) -> None:
    queue, other = serial(), concurrent_()
    left, using = errors_left, call
    assert queue.sync(lambda: left(lambda: using(other))) == 0


def test_a_queue_that_goes_with_its_pool_while_a_lock_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = serial()
    assert queue.sync(str, 1) == "1"
    engine, lock = weakref.ref(queue._engine), queue._engine.lock
    dispatch.shutdown()
    threads: list[Any] = []
    monkeypatch.setattr(dropping, "_thread", SimpleNamespace(start_new_thread=lambda *what: threads.append(what)))
    with lock:
        del queue
    eventually(lambda: engine() is None)
    [(function, args)] = threads
    function(*args)


def test_what_cannot_be_sent_for_a_reason_that_cannot_be_sent() -> None:
    queue, other = serial(), serial("other")

    def block() -> str:
        class Bad:
            def __reduce__(self) -> Any:
                raise ValueError(threading.Lock())

        return repr(other.async_(str, Bad()).exception())

    assert "ValueError: <unlocked" in queue.sync(block)
