"""Barrier."""

from __future__ import annotations

import gc
import re
import threading
import time
from threading import BrokenBarrierError
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import Barrier, _native
from procession.testing.watch import eventually


def test_all_go_on_together_and_are_numbered(actor: Any) -> None:
    barrier, others = Barrier(5), [actor() for _ in range(3)]
    for round_ in range(20):
        for n, other in enumerate(others):
            other.begin(barrier.wait)
            if round_ == 0:
                eventually(lambda n=n: barrier.n_waiting == n + 1)
                assert all(other.busy() for other in others[: n + 1])
        runner = Runner(barrier.wait)
        mine = barrier.wait(20)
        assert sorted([mine, runner.end(), *(other.end() for other in others)]) == list(range(5))
        assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_what_it_tells() -> None:
    barrier = Barrier(2)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2, 0, False)
    assert re.fullmatch(r"<[\w.]+\.Barrier at 0x[0-9a-f]+: waiters=0/2>", repr(barrier))
    runner = Runner(barrier.wait)
    eventually(lambda: barrier.n_waiting == 1)
    assert repr(barrier).endswith(": waiters=1/2>")
    assert barrier.waiters[0].thread == runner.native_id
    barrier.abort()
    with pytest.raises(BrokenBarrierError):
        runner.end()
    assert repr(barrier).endswith(": broken>")


def test_alone() -> None:
    barrier = Barrier(1)
    assert [barrier.wait() for _ in range(3)] == [0, 0, 0]


def test_arguments() -> None:
    for wrong in (0, -1, 0x8000):
        with pytest.raises(ValueError, match="parties must be from 1 to 32767"):
            Barrier(wrong)
    for wrong in ("a", 1.5, None):
        with pytest.raises(TypeError):
            Barrier(wrong)
    with pytest.raises(TypeError, match="action must be callable"):
        Barrier(1, 3)
    assert Barrier(0x7FFF).parties == 0x7FFF
    for wrong in ("a", b""):
        with pytest.raises(TypeError):
            Barrier(2).wait(wrong)
    with pytest.raises(ValueError, match="NaN"):
        Barrier(2).wait(float("nan"))


def break_by(barrier: Any, how: str) -> None:
    {"abort": barrier.abort, "reset": barrier.reset}[how]()


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_it_is_broken_or_reset_by_another(how: str, actor: Any) -> None:
    barrier, other = Barrier(3), actor()
    runner = Runner(barrier.wait)
    eventually(lambda: barrier.n_waiting == 1)
    other(break_by, barrier, how)
    with pytest.raises(BrokenBarrierError, match=r"^$"):
        runner.end()
    assert barrier.broken is (how == "abort")
    if how == "abort":
        for _ in range(2):
            with pytest.raises(BrokenBarrierError):
                barrier.wait()
    barrier.reset()
    assert not barrier.broken
    runners = [Runner(barrier.wait, 20) for _ in range(3)]
    assert sorted(runner.end() for runner in runners) == [0, 1, 2]


def test_a_time_out_breaks_it_for_all(actor: Any) -> None:
    barrier, other = Barrier(3), actor()
    other.begin(barrier.wait)
    eventually(lambda: barrier.n_waiting == 1)
    began = time.monotonic()
    with pytest.raises(BrokenBarrierError):
        barrier.wait(0.1)
    assert 0.1 <= time.monotonic() - began < 10
    with pytest.raises(BrokenBarrierError):
        other.end()
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    assert barrier.broken


def test_the_time_out_that_it_was_made_with(actor: Any) -> None:
    barrier, other = Barrier(2, timeout=0.1), actor()

    def wait() -> float:
        began = time.monotonic()
        try:
            barrier.wait()
        except BrokenBarrierError:
            return time.monotonic() - began
        return 0

    assert 0.1 <= other(wait) < 1.1
    barrier.reset()
    result = Runner(barrier.wait, 20)
    eventually(lambda: barrier.n_waiting == 1)
    time.sleep(0.15)  # (its own time-out came first, if the other were still in effect)
    assert {barrier.wait(), result.end()} == {0, 1}


def test_the_last_one_acts_before_any_goes_on(actor: Any, numbers: Any) -> None:
    done = numbers(1)

    def action() -> None:
        time.sleep(0.05)
        done[0] += 1

    barrier, other = Barrier(2, action), actor()

    def wait() -> int:
        barrier.wait(20)
        return done[0]

    for n in range(1, 4):
        other.begin(wait)
        barrier.wait(20)
        assert done[0] == n
        assert other.end() == n


@pytest.mark.parametrize("last", ["here", "there"])
def test_an_action_that_fails_breaks_it(last: str, actor: Any) -> None:
    def action() -> None:
        raise ZeroDivisionError

    barrier, other = Barrier(2, action), actor()
    if last == "here":
        other.begin(barrier.wait)
        eventually(lambda: barrier.n_waiting == 1)
        with pytest.raises(ZeroDivisionError):
            barrier.wait()
        with pytest.raises(BrokenBarrierError):
            other.end()
    else:
        runner = Runner(barrier.wait)
        eventually(lambda: barrier.n_waiting == 1)
        with pytest.raises(ZeroDivisionError):
            other(barrier.wait)
        with pytest.raises(BrokenBarrierError):
            runner.end()
    assert barrier.broken


def test_who_comes_while_the_last_one_acts_is_of_the_next_round() -> None:
    acting, go_on = threading.Event(), threading.Event()

    def action() -> None:
        acting.set()
        assert go_on.wait(20)

    barrier = Barrier(2, action)
    first = [Runner(barrier.wait) for _ in range(2)]
    assert acting.wait(20)
    early = Runner(barrier.wait, 20)
    wait_for_waiters(barrier, 3)
    assert early.is_alive()
    go_on.set()
    assert {runner.end() for runner in first} == {0, 1}
    assert {barrier.wait(20), early.end()} == {0, 1}


def test_a_thousand_rounds(actor: Any) -> None:
    barrier, others = Barrier(3), [actor() for _ in range(2)]

    def rounds() -> int:
        return sum(barrier.wait(20) for _ in range(1000))

    for other in others:
        other.begin(rounds)
    assert rounds() + sum(other.end() for other in others) == 3000
    assert barrier.n_waiting == 0


def test_lifetime() -> None:
    gc.collect()
    before = _native.cells_in_use()
    for _ in range(500):
        timed(Barrier(1).wait)
    gc.collect()
    assert _native.cells_in_use() <= before
