"""`procession.scope` in a ``with``: when it is left, all that was started in it is over."""

from __future__ import annotations

import pickle
import signal
import threading
import time
import weakref
from concurrent.futures import CancelledError
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Marks, alive

import procession
from procession import ProcessDied, ProcessTimeout, ScopeEnded, ScopeTimeout
from procession.core import callers
from procession.process import callbacks
from procession.testing import leaks
from procession.testing.watch import eventually


def test_results_come_home() -> None:
    async def later(number: int) -> int:
        return number + 1

    with procession.scope() as s:
        child = s.start(divmod, 7, 2)
        task = s.submit(pow, 2, exp=10)
        asynchronous = s.start(later, 1)
        nothing = s.start(time.sleep, 0)
        big = s.start(bytes, 100_000)
        left = s.start(exit, 0)
    assert (child.result(), task.result(), asynchronous.result(), nothing.result()) == ((3, 1), 1024, 2, None)
    assert len(big.result()) == 100_000
    assert left.result() is None
    assert all(handle.done() and handle.process.exitcode == 0 for handle in (child, asynchronous, nothing, big, left))
    assert s.over
    assert not s.failing
    assert procession.active_children() == []


def test_a_handle_is_done_when_its_process_is_gone() -> None:
    with procession.scope() as s:
        child = s.start(abs, -1)
        assert child.result(30) == 1
        assert child.process.exitcode == 0
        assert not alive(child.process.pid or 0)


@pytest.mark.parametrize("how", ["start", "submit"])
def test_the_first_failure_ends_the_others(how: str) -> None:
    for name, (function, error, task_error) in faults.FAULTS.items():
        with pytest.raises(BaseExceptionGroup) as caught, procession.scope(name=name) as s:
            other = (s.start if how == "submit" else s.submit)(faults.sleep_for_ever)
            failing = getattr(s, how)(function)
        assert [type(each) for each in caught.value.exceptions] == [type(failing.exception())], name
        assert isinstance(failing.exception(), error if how == "start" else task_error), name
        assert other.cancelled(), name
        assert s.failing
        assert procession.active_children() == [], name


def test_what_a_child_raised_has_its_traceback() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(name="kitchen") as s:
        s.start(faults.raise_value_error)
    assert "kitchen failed" in str(caught.value)
    assert "in raise_value_error" in str(caught.value.exceptions[0].__cause__)


def test_a_death_says_who_and_how() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        child = s.with_options(name="cook").start(faults.die)
    (error,) = caught.value.exceptions
    assert isinstance(error, ProcessDied)
    assert (error.name, error.pid, error.exitcode) == ("cook", child.process.pid, -signal.SIGKILL)
    assert str(error) == f"cook (pid {child.process.pid}) was killed by SIGKILL"
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.name, twin.pid, twin.exitcode, str(twin)) == (error.name, error.pid, error.exitcode, str(error))


def test_several_failures_are_one_group(marks: Marks) -> None:
    def fail_when_asked(name: str) -> None:
        def ask(*_: Any) -> None:
            raise LookupError(name)

        signal.signal(signal.SIGTERM, ask)
        faults.mark_and_sleep(marks.folder, name)

    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        s.start(fail_when_asked, "late")
        marks.wait("late")
        s.start(faults.raise_value_error)
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["LookupError", "ValueError"]


def test_every_start_method(ctx: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(mp_context=ctx) as s:
        children = [s.start(abs, -1), s.start(lambda: 5), s.submit(abs, -2)]
        assert [child.result(30) for child in children] == [1, 5, 2]
        other = s.start(faults.sleep_for_ever)
        s.start(faults.raise_value_error)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert other.cancelled()


# --- the block ---


def test_what_the_block_raises_ends_all_and_is_in_the_group() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        child = s.start(faults.sleep_for_ever)
        raise LookupError("the block")
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert child.cancelled()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_some_errors_are_raised_alone(error: type[BaseException]) -> None:
    with pytest.raises(error), procession.scope() as s:
        child = s.start(faults.sleep_for_ever)
        raise error
    assert child.cancelled()


def test_a_result_that_the_block_raised_is_there_once() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        s.start(faults.raise_value_error).result(30)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


def test_the_block_learns_of_a_failure_by_what_it_asks() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(name="x") as s:
        s.start(faults.die)
        assert procession.wait([s], 30).done == {s}
        assert s.failing
        with pytest.raises(ScopeEnded, match="scope x takes on nothing more: die failed"):
            s.start(abs, 1)
        with pytest.raises(ScopeEnded):
            s.submit(abs, 1)
        s.start(abs, 1)
        raise AssertionError("not reached")
    assert [type(error) for error in caught.value.exceptions] == [ProcessDied]


def test_a_scope_that_is_not_ended_is_not_done() -> None:
    with procession.scope() as s:
        assert procession.wait([s], 0).not_done == {s}
    assert procession.wait([s], 0).done == {s}


def test_cancel_ends_all_and_raises_nothing() -> None:
    with procession.scope() as s:
        children = [s.start(faults.sleep_for_ever), s.submit(faults.sleep_for_ever)]
        s.cancel()
        assert s.cancelled
        with pytest.raises(CancelledError):
            children[0].result(30)
        children[1].result()
        raise AssertionError("not reached")
    assert all(child.cancelled() for child in children)
    assert s.cancelled
    assert not s.failing


def test_a_signals_handler_may_cancel() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: s.cancel())
    try:
        with procession.scope() as s:
            child = s.start(faults.sleep_for_ever)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert child.cancelled()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_one_child_is_cancelled() -> None:
    with procession.scope() as s:
        child, other = s.start(faults.sleep_for_ever), s.start(abs, -2)
        assert child.cancel()
    assert child.cancelled()
    assert not child.cancel() or child.cancelled()
    assert other.result() == 2
    assert not s.cancelled


def test_another_thread_may_start_and_cancel() -> None:
    with procession.scope() as s:
        child = s.start(faults.sleep_for_ever)
        thread = threading.Thread(target=lambda: (s.start(abs, -1), s.cancel()))
        thread.start()
        thread.join()
    assert child.cancelled()


def test_another_thread_may_start_while_it_is_left(marks: Marks) -> None:
    found = []

    def help_out() -> None:
        eventually(lambda: s._core.left)
        found.append(s.start(abs, -1))
        faults.mark(marks.folder, "go")

    thread = threading.Thread(target=help_out)
    with procession.scope() as s:
        s.start(faults.until, marks.folder, "go")
        thread.start()
    thread.join()
    assert found[0].result() == 1


# --- ends ---


def test_who_does_not_hear_is_killed_after_the_grace(marks: Marks) -> None:
    with procession.scope(grace=0.1) as s:
        child = s.start(faults.deaf, marks.folder, "deaf")
        marks.wait("deaf")
        s.cancel()
    assert child.cancelled()
    assert child.process.exitcode == -signal.SIGKILL


def test_a_child_may_end_well_when_it_is_asked_to(marks: Marks) -> None:
    with procession.scope() as s:
        child = s.start(faults.until_term, marks.folder, "up")
        marks.wait("up")
        s.cancel()
    assert child.result() == "asked"


@pytest.mark.parametrize("how", ["cancelled", "killed", "left behind"])
def test_descendants_are_over_too(how: str, marks: Marks) -> None:
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(ExceptionGroup) if how == "killed" else ExitStack())
        s = stack.enter_context(procession.scope())
        if how == "left behind":
            s.start(faults.leave_descendant, marks.folder)
        else:
            child = s.start(faults.with_descendant, marks.folder)
            eventually(marks.made)
            child.process.kill() if how == "killed" else s.cancel()
    (pid,) = map(int, marks.made())
    assert not alive(pid)


def test_a_descendant_that_takes_long_to_be_gone_is_waited_for(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup), procession.scope() as s:
        child = s.start(faults.with_big_descendant, marks.folder)
        eventually(marks.made, 30)
        child.process.kill()
    (pid,) = map(int, marks.made())
    assert not alive(pid)


def test_a_time_limit_names_who_was_late() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError) as caught, procession.scope(0.1, name="x") as s:
        child = s.with_options(name="slow").start(faults.sleep_for_ever)
        s.submit(abs, -1)
    assert isinstance(caught.value, ScopeTimeout)
    assert (caught.value.scope, caught.value.timeout, caught.value.unfinished) == ("scope x", 0.1, ("slow",))
    assert str(caught.value) == "scope x was not over within 0.1 s; these had not ended: slow"
    assert child.cancelled()
    assert s.failing
    assert time.monotonic() - began < 20


def test_a_time_limit_ends_the_children_while_the_block_is_busy() -> None:
    with pytest.raises(ScopeTimeout), procession.scope(0.1) as s:
        child = s.start(faults.sleep_for_ever)
        child.process.join(30)  # (a thing that knows of no scope)
        assert child.process.exitcode == -signal.SIGTERM


def test_a_time_limit_that_is_kept_costs_nothing() -> None:
    before = leaks.descriptors().total()
    for _ in range(3):
        with procession.scope(60) as s:
            assert s.start(abs, -1).result(30) == 1
    eventually(lambda: leaks.descriptors().total() <= before + 3)


def test_a_childs_own_time_limit() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        child = s.with_options(timeout=0.1, name="slow").start(faults.sleep_for_ever)
    assert caught.value.exceptions == (child.exception(),)
    error = child.exception()
    assert isinstance(error, ProcessTimeout)
    assert isinstance(error, TimeoutError)
    assert (error.name, error.timeout, error.exitcode) == ("slow", 0.1, -signal.SIGTERM)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_shielded_child_is_let_finish(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup), procession.scope() as s:
        child = s.with_options(shield=True).start(faults.until, marks.folder, "go")
        other = s.start(faults.sleep_for_ever)
        s.start(faults.raise_value_error)
        eventually(other.cancelled)
        faults.mark(marks.folder, "go")
    assert child.result() == "go"


def test_the_time_limit_of_a_child_that_has_ended_when_its_start_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes with the child: what is left of it would end the next process of a supervised one, too early."""
    add = callbacks.add

    def add_and_see_the_end(thing: Any, function: Any, *, quick: bool = False) -> Any:
        ended = threading.Event()
        added = add(thing, lambda _: (function(thing), ended.set()), quick=quick)
        if isinstance(thing, procession.Process):
            assert ended.wait(30)
        return added

    monkeypatch.setattr(callbacks, "add", add_and_see_the_end)
    with procession.scope() as s:
        s.with_options(timeout=3600).start(abs, -1)
    eventually(lambda: not [fd for fd in Path("/proc/self/fd").iterdir() if "timerfd" in _target(fd)])


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_scope_that_is_dropped_in_the_middle_of_anything_waits_for_no_lock() -> None:
    """A lock that a collector of garbage has would never be free."""

    def drop() -> None:
        s = procession.scope().__enter__()
        s.submit(abs, -1).result(30)
        tasks.append(s.submit(faults.sleep_for_ever))
        weakref.finalize(s, collected.set)
        with callers._callers._lock:  # (any of those that its end takes)
            del s

    tasks: list[Any] = []
    collected = threading.Event()
    threading.Thread(target=drop, daemon=True).start()
    assert collected.wait(30)
    eventually(lambda: tasks[0].cancelled())
    eventually(lambda: procession.active_children() == [])
