"""The threads that run callbacks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from procession.core import callers
from procession.core.callers import call, drain
from procession.testing.watch import eventually

LIMIT = 30.0


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "procession-callers"]


@pytest.fixture(autouse=True)
def all_done() -> Iterator[None]:
    """No call of one test runs in the next, and no thread either."""
    yield
    assert drain(LIMIT)
    callers._callers.pause()
    eventually(lambda: not ours())


def test_calls_run_in_order_in_one_thread() -> None:
    seen: list[tuple[int, str]] = []
    for number in range(100):
        call(lambda number=number: seen.append((number, threading.current_thread().name)))
    assert drain(LIMIT)
    assert seen == [(number, "procession-callers") for number in range(100)]
    assert all(thread.daemon for thread in ours())


def test_a_call_that_hangs_holds_up_no_other() -> None:
    gate, done = threading.Event(), threading.Event()
    began = time.monotonic()
    call(gate.wait, LIMIT)
    call(done.set)
    assert done.wait(LIMIT)
    assert time.monotonic() - began >= callers.PATIENCE * 0.9
    assert not drain(0.01)
    gate.set()
    assert drain(LIMIT)


def test_quick_ones_after_one_that_hangs_stay_in_order() -> None:
    gate = threading.Event()
    seen: list[int] = []
    call(gate.wait, LIMIT)
    for number in range(50):
        call(seen.append, number)
    eventually(lambda: len(seen) == 50)
    assert seen == list(range(50))
    gate.set()


def test_so_many_may_hang_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "PATIENCE", 0.002)
    monkeypatch.setattr(callers, "MOST_STUCK", 5)
    gates = [threading.Event() for _ in range(6)]
    entered = [threading.Event() for _ in gates]
    done = threading.Event()

    def hang(number: int) -> None:
        entered[number].set()
        gates[number].wait(LIMIT)

    for number in range(6):
        call(hang, number)
    for event in entered:  # five were left behind; the sixth is the one whose turn it is
        assert event.wait(LIMIT)
    call(done.set)
    assert not done.wait(0.05)
    assert len(ours()) <= 5 + 2
    gates[2].set()  # whichever ends makes room
    assert done.wait(LIMIT)
    for gate in gates:
        gate.set()
    assert drain(LIMIT)
    assert callers._callers._stuck == 0


def test_an_exception_is_reported_and_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    reports: list[threading.ExceptHookArgs] = []
    original, threading.excepthook = threading.excepthook, reports.append
    try:
        call(lambda: 1 / 0)
        call(seen.append, 1)
        assert drain(LIMIT)
        threading.excepthook = lambda report: 1 / 0  # type: ignore[assignment,return-value]
        call(lambda: [][1])
        call(seen.append, 2)
        assert drain(LIMIT)
    finally:
        threading.excepthook = original
    assert seen == [1, 2]
    assert [report.exc_type for report in reports] == [ZeroDivisionError]
    assert "exception in threading.excepthook" in capsys.readouterr().err


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_harms_nothing_either(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda report: None)
    seen: list[int] = []

    def leave() -> None:
        raise error

    call(leave)
    call(seen.append, 1)
    assert drain(LIMIT)
    assert seen == [1]


def test_a_call_may_ask_for_others_and_drain() -> None:
    seen: list[Any] = []

    def first() -> None:
        call(seen.append, "second")
        seen.append("first")
        seen.append(drain(LIMIT))  # (not of itself)

    call(first)
    assert drain(LIMIT)
    eventually(lambda: len(seen) == 3)
    assert seen == ["first", "second", True]


def test_what_a_call_was_given_is_dropped_after_it() -> None:
    gone = threading.Event()

    class Thing:
        def __del__(self) -> None:
            gone.set()

    call(lambda thing: None, Thing())
    assert gone.wait(LIMIT)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "IDLENESS", 0.01)
    call(int)
    assert drain(LIMIT)
    eventually(lambda: not ours())
    seen: list[int] = []
    call(seen.append, 1)  # and come back
    assert drain(LIMIT)
    assert seen == [1]


def test_nothing_is_lost_where_threads_just_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that come at the moment at which the thread's patience ends."""
    monkeypatch.setattr(callers, "IDLENESS", 0.0005)
    seen: list[int] = []
    for number in range(300):
        call(seen.append, number)
        time.sleep(0.0003 + number % 7 * 0.0001)
    assert drain(LIMIT)
    assert seen == list(range(300))


def test_many_callers_lose_nothing() -> None:
    seen: list[int] = []

    def ask() -> None:
        for number in range(500):
            call(seen.append, number)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drain(LIMIT)
    assert sorted(seen) == sorted(list(range(500)) * 4)
    assert len(ours()) <= 2


def test_without_a_thread_it_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    seen: list[Any] = []

    def outer() -> None:
        call(lambda: seen.append("inner"))
        seen.append(threading.current_thread() is threading.main_thread())

    call(outer)
    assert seen == [True, "inner"]


def test_drain_of_nothing_is_at_once() -> None:
    assert drain(0)
    assert drain()


# --- forks ---


def in_child(function: Any) -> int:
    """The exit code of a fork that runs it."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def works_alone() -> bool:
    seen: list[int] = []
    call(seen.append, 1)
    return drain(10) and seen == [1]


def test_idle_threads_are_not_there_during_a_fork() -> None:
    call(int)
    assert drain(LIMIT)
    assert in_child(works_alone) == 0  # (a warning of threads is an error)
    assert works_alone()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_starts_empty() -> None:
    gate = threading.Event()
    seen: list[int] = []
    call(gate.wait, LIMIT)
    call(seen.append, 1)
    call(gate.wait, LIMIT)
    assert in_child(lambda: drain(0) and works_alone() and not gate.is_set()) == 0
    gate.set()
    assert drain(LIMIT)
    assert seen == [1]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_within_a_call() -> None:
    codes: list[int] = []
    call(lambda: codes.append(in_child(works_alone)))
    assert drain(LIMIT)
    assert codes == [0]


def test_the_end_of_a_program_waits_for_nobody(program: Any) -> None:
    done = program.run_script("""
        import threading
        from procession.core.callers import call, drain
        call(print, "hello", flush_now := "")
        drain()
        call(threading.Event().wait)
        print(drain(0.01))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello \nFalse\n", "")
