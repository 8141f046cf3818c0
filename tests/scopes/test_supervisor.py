"""`procession.supervisor`: children that end are started anew."""

from __future__ import annotations

import errno
import os
import pickle
import signal
from concurrent.futures import CancelledError
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Loops, Marks

import procession
from procession import RestartLimit, ScopeEnded, ScopeTimeout
from procession.scopes.timer import Timer
from procession.testing.watch import eventually


def serve(folder: Path, name: str) -> None:
    """Notes each time that it begins, and that it is asked to end."""

    def ask(*_: Any) -> None:
        _note(folder, f"-{name}")
        os._exit(0)

    signal.signal(signal.SIGTERM, ask)
    _note(folder, f"+{name}")
    faults.sleep_for_ever()


def _note(folder: Path, line: str) -> None:
    with open(folder / "log", "a") as file:
        file.write(line + " ")


def in_order(log: str) -> str:
    """Those that begin beside others, in the order of their names."""
    groups = groupby(log.split(), key=lambda word: word[0])
    return " ".join(" ".join(sorted(group) if sign == "+" else group) for sign, group in groups)


def log_of(marks: Marks) -> str:
    path = marks.folder / "log"
    return in_order(path.read_text()) if path.exists() else ""


def wait_for(marks: Marks, log: str) -> None:
    eventually(lambda: log_of(marks) == in_order(log), 30, log)


def fail_until(folder: Path, times: int) -> int:
    _note(folder, "+")
    attempt = len((folder / "log").read_text().split())
    if attempt < times:
        raise ValueError(attempt)
    return attempt


def kill(child: Any) -> None:
    os.kill(child.process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", "+a +b +c +b -c -b -a"),
        ("rest_for_one", "+a +b +c -c +b +c -c -b -a"),
        ("one_for_all", "+a +b +c -c -a +a +b +c -c -b -a"),
    ],
)
def test_strategies(strategy: str, log: str, marks: Marks) -> None:
    with procession.supervisor(strategy) as s:
        children = []
        for name in "abc":
            children.append(s.with_options(name=name).start(serve, marks.folder, name))
            wait_for(marks, " ".join(f"+{each}" for each in "abc"[: len(children)]))
        pids = [child.process.pid for child in children]
        kill(children[1])
        wait_for(marks, log.removesuffix(" -c -b -a"))
        eventually(lambda: [child.alive for child in children] == [True] * 3)
        assert [info.name for info in s.children()] == ["a", "b", "c"]
        restarted = [before != child.process.pid for before, child in zip(pids, children, strict=True)]
        assert restarted == [child.restarts == 1 for child in children]
        assert restarted == [strategy == "one_for_all", True, strategy != "one_for_one"]
        s.stop()
    assert log_of(marks) == in_order(log)
    assert all(child.done() for child in children)
    assert procession.active_children() == []


def test_a_transient_child_runs_until_it_has_not_failed(marks: Marks) -> None:
    with procession.supervisor() as s:
        child = s.with_options(restart="transient").start(fail_until, marks.folder, 3)
    assert child.result() == 3
    assert child.restarts == 2
    assert not s.failing


def test_a_temporary_child_is_not_started_anew(marks: Marks) -> None:
    with procession.supervisor("one_for_all") as s:
        failed = s.with_options(restart="temporary").start(faults.raise_value_error)
        with pytest.raises(ValueError, match="fails"):
            failed.result(30)
        guest = s.with_options(restart="temporary").start(faults.mark_and_sleep, marks.folder, "guest")
        child = s.start(serve, marks.folder, "a")
        marks.wait("guest")
        wait_for(marks, "+a")
        kill(child)
        wait_for(marks, "+a +a")
        assert guest.cancelled()
        assert [info.name for info in s.children()] == ["serve"]
        s.stop()


def test_leaving_waits_for_permanent_children(marks: Marks) -> None:
    with procession.supervisor(intensity=10_000) as s:
        child = s.start(faults.until, marks.folder, "go")
        faults.mark(marks.folder, "go")
        eventually(lambda: child.restarts >= 2)
        (info,) = s.children()
        assert (info.name, info.restart) == ("until", "permanent")
        child.cancel()
    assert child.done()
    assert s.over


def test_too_many_restarts_end_all(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.supervisor(intensity=2, period=60, name="shop") as s:
        other = s.start(serve, marks.folder, "a")
        wait_for(marks, "+a")
        child = s.with_options(name="bad").start(faults.raise_value_error)
    (error,) = caught.value.exceptions
    assert isinstance(error, RestartLimit)
    assert (error.supervisor, error.child, error.restarts) == ("supervisor shop", "bad", 2)
    assert (error.intensity, error.period) == (2, 60)
    assert str(error).endswith("gave up when bad ended once more: that would be more than 2 restarts within 60 s")
    assert isinstance(error.__cause__, ValueError)
    assert isinstance(child.exception(), ValueError)
    assert log_of(marks) == "+a -a"
    assert other.done()
    assert s.failing
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_cannot_be_started_anew_has_ended_once_more() -> None:
    class Once:
        def __init__(self) -> None:
            self.times = 0

        def __reduce__(self) -> Any:
            self.times += 1
            if self.times > 1:
                raise ValueError("only once")
            return int, ()

    with pytest.raises(ExceptionGroup) as caught, procession.supervisor(intensity=1) as s:
        s.start(print, Once(), end="", sep="")
    (error,) = caught.value.exceptions
    assert isinstance(error, RestartLimit)
    assert isinstance(error.__cause__, procession.UnpicklableError | ValueError)


def test_one_is_cancelled_while_it_is_started_anew(marks: Marks) -> None:
    """It is over then, and no other is."""
    children: list[Any] = []

    class Cancels:
        """Its child, when it is pickled for the second time."""

        times = 0

        def __reduce__(self) -> Any:
            self.times += 1
            if self.times > 1:
                children[0].cancel()
            return Path, (str(marks.folder),)

    with procession.supervisor() as s:
        children.append(s.start(faults.mark_and_sleep, Cancels(), "a"))  # type: ignore[arg-type]
        other = s.with_options(restart="transient", name="b").start(faults.mark_and_sleep, marks.folder, "b")
        marks.wait("a", "b")
        kill(children[0])
        with pytest.raises(CancelledError):
            children[0].result(30)
        assert [child.name for child in s.children()] == ["b"]
        assert not other.done()
        s.stop()
    assert other.restarts == 0


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_a_start_that_fails_at_its_very_end(strategy: str, marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has ended once more, and is tried again."""
    times: list[float] = []

    def timer(seconds: float, function: Any) -> Any:
        times.append(seconds)
        if len(times) == 2:
            raise OSError(errno.EMFILE, "no descriptor is left")
        return Timer(seconds, function)

    monkeypatch.setattr("procession.scopes.handle.Timer", timer)
    with procession.supervisor(strategy, intensity=2) as s:
        child = s.with_options(timeout=60).start(faults.mark_and_sleep, marks.folder, "begun")
        s.start(faults.sleep_for_ever)
        first = child.process.pid
        kill(child)
        eventually(lambda: len(times) == 3 and child.process.pid != first)
        assert child.restarts == 2
        s.stop()
    assert child.cancelled()


def test_a_runs_own_time_limit_restarts_it() -> None:
    with procession.supervisor() as s:
        child = s.with_options(timeout=0.05).start(faults.sleep_for_ever)
        eventually(lambda: child.restarts == 1)
        s.stop()
    assert child.cancelled()


def test_what_the_block_raises_ends_all(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.supervisor() as s:
        child = s.start(serve, marks.folder, "a")
        wait_for(marks, "+a")
        raise LookupError("the block")
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert log_of(marks) == "+a -a"
    assert child.done()
    with pytest.raises(ScopeEnded):
        s.start(abs, 1)


def test_a_supervisor_within_a_scope(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope() as outer:
        with procession.supervisor() as s:
            child = s.start(faults.mark_and_sleep, marks.folder, "up")
            marks.wait("up")
            outer.start(faults.raise_value_error)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert child.cancelled()


def test_a_time_limit() -> None:
    with pytest.raises(ScopeTimeout), procession.supervisor(timeout=0.1) as s:
        child = s.start(faults.sleep_for_ever)
    assert child.cancelled()


def test_in_an_event_loop(loops: Loops, marks: Marks) -> None:
    async def main() -> None:
        async with procession.supervisor() as s:
            child = s.with_options(restart="transient").start(fail_until, marks.folder, 2)
            server = s.start(faults.sleep_for_ever)
            assert await child == 2
            s.stop()
        with pytest.raises(CancelledError):
            await server
        with pytest.raises(ExceptionGroup, match="supervisor"):
            async with procession.supervisor(intensity=0) as s:
                s.start(faults.die)
                await loops.sleep_for_ever()

    loops.run(main)


def test_killed_again_and_again(marks: Marks) -> None:
    """Also in the middle of what is done about it."""
    with procession.supervisor("one_for_all", intensity=10_000, grace=0.5) as s:
        children = [s.start(faults.sleep_for_ever) for _ in range(3)]
        for number in range(12):
            child = children[number % 3]
            before = child.restarts
            eventually(lambda child=child: child.alive)
            kill(child)
            if number % 2:
                eventually(lambda child=child, before=before: child.restarts > before)
        eventually(lambda: all(child.alive for child in children))
        assert len(s.children()) == 3
        s.stop()
    assert all(child.cancelled() for child in children)
    assert procession.active_children() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strategy": "all"}, ValueError), ({"intensity": -1}, ValueError), ({"intensity": 1.5}, ValueError),
        ({"period": None}, ValueError), ({"period": 0}, ValueError), ({"grace": -1}, ValueError), ({"name": 3}, TypeError),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        procession.supervisor(**options)


def test_options_that_make_no_sense_are_refused() -> None:
    with procession.supervisor() as s:
        with pytest.raises(ValueError, match="restart must be one of"):
            s.with_options(restart="always")
        with pytest.raises(TypeError, match="no option 'shield'"):
            s.with_options(shield=True)
