"""Event."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import Event, _native


def test_set_and_clear() -> None:
    event = Event()
    assert event.is_set() is False
    assert event.wait(0) is False
    assert event.wait(-1) is False
    assert event.set() is None
    assert event.is_set() is True
    assert event.wait() is True
    assert event.wait(0.0) is True
    event.set()
    assert event.clear() is None
    assert event.is_set() is False
    event.clear()


def test_time_out() -> None:
    event = Event()
    result, took = timed(event.wait, 0.1)
    assert result is False
    assert 0.1 <= took < 1.1
    assert event.waiters == ()


def test_arguments() -> None:
    event = Event()
    for wrong in ({"block": True}, {"timeout": "a"}):
        with pytest.raises(TypeError):
            event.wait(**wrong)
    with pytest.raises(TypeError):
        event.wait(1, 2)
    with pytest.raises(TypeError):
        event.set(1)
    with pytest.raises(ValueError, match="NaN"):
        event.wait(float("nan"))


def test_set_by_another(ctx: Any) -> None:
    event = ctx.Event()
    process = ctx.Process(target=event.set)
    process.start()
    assert event.wait(20) is True
    process.join()


def test_all_who_wait_go_on(actor: Any) -> None:
    event = Event()
    others = [actor() for _ in range(2)]
    for other in others:
        other.begin(event.wait)
    runners = [Runner(event.wait, 20) for _ in range(3)]
    wait_for_waiters(event, 5)
    assert {w.pid for w in event.waiters} >= {other.process.pid for other in others}
    event.set()
    assert [other.end() for other in others] == [True] * 2
    assert [runner.end() for runner in runners] == [True] * 3


def test_set_and_cleared_at_once_reaches_all_who_waited() -> None:
    event = Event()
    for _ in range(50):
        runners = [Runner(event.wait, 20) for _ in range(3)]
        wait_for_waiters(event, 3)
        event.set()
        event.clear()
        assert [runner.end() for runner in runners] == [True] * 3
        assert not event.is_set()


def test_back_and_forth(actor: Any) -> None:
    there, back, other = Event(), Event(), actor()

    def answer() -> bool:
        for _ in range(300):
            if not there.wait(10):
                return False
            there.clear()
            back.set()
        return True

    other.begin(answer)
    for _ in range(300):
        there.set()
        assert back.wait(10)
        back.clear()
    assert other.end()


def test_repr() -> None:
    event = Event()
    assert re.fullmatch(r"<Event at 0x[0-9a-f]+ unset>", repr(event))
    event.set()
    assert re.fullmatch(r"<Event at 0x[0-9a-f]+ set>", repr(event))


def test_lifetime() -> None:
    gc.collect()
    before = _native.cells_in_use()
    event = Event()
    reference = weakref.ref(event)
    event.wait(0.01)
    del event
    gc.collect()
    assert reference() is None
    for _ in range(1000):
        Event().set()
    assert _native.cells_in_use() <= before
