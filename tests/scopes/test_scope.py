"""`procession.scope` in a ``with``: when it is left, all that was started in it is over."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Marks, alive

import procession
from procession import ProcessDied, ProcessStateError, ProcessTimeout, ScopeEnded, ScopeTimeout, scopes
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
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with procession.scope(60) as s:
            assert s.start(abs, -1).result(30) == 1
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= len(before) + 3)


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


# --- inner scopes ---


def test_an_inner_scope_ends_with_the_outer_one() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(name="outer") as outer:
        with procession.scope(name="inner") as inner:
            child = inner.start(faults.sleep_for_ever)
            outer.start(faults.raise_value_error)
        raise AssertionError("not reached")
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert child.cancelled()
    assert inner.cancelled


def test_an_inner_scope_says_which_one_was_ended() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(name="outer") as outer:
        with pytest.raises(ScopeEnded, match="scope outer takes on nothing more: it was cancelled"):
            with procession.scope(name="middle"), procession.scope(name="inner") as inner:
                outer.cancel()
                inner.start(abs, 1)
        raise LookupError("no consequence")
    assert [type(error) for error in caught.value.exceptions] == [LookupError]


def test_what_an_inner_scope_raises_is_the_outer_ones_failure() -> None:
    with pytest.raises(ExceptionGroup) as caught, procession.scope(name="outer") as outer:
        child = outer.start(faults.sleep_for_ever)
        with procession.scope(name="inner") as inner:
            inner.start(faults.raise_value_error)
    (group,) = caught.value.exceptions
    assert isinstance(group, ExceptionGroup)
    assert "inner" in str(group)
    assert child.cancelled()


def test_a_shielded_inner_scope_is_let_finish(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup), procession.scope() as outer:
        with procession.scope(shield=True) as inner:
            child = inner.start(faults.until, marks.folder, "go")
            outer.start(faults.raise_value_error)
            procession.wait([outer], 30)
            assert inner.start(abs, -1).result(30) == 1
            faults.mark(marks.folder, "go")
        assert child.result() == "go"
        outer.start(abs, 1)
        raise AssertionError("not reached")


def test_a_scope_in_another_thread_is_no_inner_one() -> None:
    found = []

    def run() -> None:
        with procession.scope() as other:
            found.append(other.start(abs, -3))

    with procession.scope() as s:
        thread = threading.Thread(target=run)
        s.cancel()
        thread.start()
        thread.join()
    assert found[0].result() == 3


# --- what else is over with it ---


def test_an_executor_of_yours_goes_on() -> None:
    with procession.ProcessPoolExecutor(1) as pool:
        with procession.scope(pool=pool) as s:
            task = s.with_options(priority=1, retries=1).submit(abs, -1)
        assert task.result() == 1
        with procession.scope(pool=pool) as s:
            task = s.submit(faults.sleep_for_ever)
            s.cancel()
        assert task.cancelled()
        assert pool.submit(abs, -2).result(30) == 2


def test_an_executor_of_somebody_elses() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ExceptionGroup), procession.scope(pool=pool) as s:
        s.submit(faults.raise_value_error)


def test_processes_and_futures_are_adopted(marks: Marks) -> None:
    with pytest.raises(ExceptionGroup) as caught, ThreadPoolExecutor(1) as threads, procession.scope() as s:
        process = procession.Process(target=faults.sleep_for_ever, name="guest")
        process.start()
        assert s.adopt(process) is process
        s.adopt(threads.submit(abs, 1))
        process.kill()
    (error,) = caught.value.exceptions
    assert isinstance(error, ProcessDied)
    assert (error.name, error.exitcode) == ("guest", -signal.SIGKILL)
    with procession.scope() as s:
        process = procession.Process(target=faults.sleep_for_ever)
        process.start()
        s.adopt(process)
        s.cancel()
    assert process.exitcode == -signal.SIGTERM


class Thing:
    name = "thing"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def add_done_callback(self, function: Any) -> None:
        self.function = function

    def close(self) -> None:
        self.calls.append("close")
        self.function(self)

    def cancel(self) -> None:
        self.calls.append("cancel")
        self.function(self)


def test_anything_that_keeps_the_protocol_is_adopted() -> None:
    with procession.scope() as s:
        thing: scopes.Adoptable = s.adopt(Thing())
    assert isinstance(thing, Thing)
    assert thing.calls == ["close"]
    with procession.scope() as s:
        other = s.adopt(Thing())
        s.cancel()
    assert other.calls == ["cancel"]
    with procession.scope() as s:
        with pytest.raises(TypeError, match="it has no close, cancel, add_done_callback"):
            s.adopt(object())
        with pytest.raises(ProcessStateError, match="started"):
            s.adopt(procession.Process())


def test_a_dispatch_queue_is_over_with_it(marks: Marks) -> None:
    with procession.scope() as s:
        queue = s.queue("kitchen")
        blocks = [queue.async_(pow, 2, number) for number in range(20)]
    assert [block.result(0) for block in blocks] == [2**number for number in range(20)]
    with pytest.raises(RuntimeError):
        queue.async_(abs, 1)
    with procession.scope() as s:
        queue = s.queue("kitchen", concurrent=True)
        block = queue.async_(faults.mark_and_sleep, marks.folder, "up")
        marks.wait("up")
        s.cancel()
    assert block.cancelled()
    with procession.scope() as s:
        with procession.ProcessPoolExecutor(1) as pool:
            queue = s.adopt(procession.DispatchQueue("closed", executor=pool))
            queue.close()
    assert s.over


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": -1}, ValueError), ({"timeout": "x"}, ValueError), ({"grace": None}, ValueError),
        ({"grace": float("nan")}, ValueError), ({"name": 1}, TypeError), ({"pool": 3}, TypeError),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        procession.scope(**options)


def test_options_that_make_no_sense_are_refused() -> None:
    with procession.scope() as s:
        with pytest.raises(TypeError, match="no option 'nice'"):
            s.with_options(nice=1)
        with pytest.raises(ValueError, match="timeout"):
            s.with_options(timeout=-1)
        with pytest.raises(TypeError, match="retries is an option of tasks"):
            s.with_options(retries=1).start(abs, 1)
        with pytest.raises(TypeError, match="restart"):
            s.with_options(restart="permanent")


def test_what_cannot_be_pickled_raises_at_the_start() -> None:
    with procession.scope() as s:
        with pytest.raises(procession.UnpicklableError):
            s.start(print, threading.Lock())
        assert s.start(abs, -1).result(30) == 1


def test_before_and_after_its_block_it_takes_nothing() -> None:
    s = procession.scope()
    with pytest.raises(ProcessStateError, match="not open"):
        s.start(abs, 1)
    with s:
        pass
    with pytest.raises(ScopeEnded, match="its block has been left"):
        s.start(abs, 1)
    with pytest.raises(ProcessStateError, match="opened before"), s:
        pass


def test_it_is_left_where_it_was_opened() -> None:
    s = procession.scope()
    found: list[BaseException] = []

    def leave() -> None:
        try:
            s.__exit__(None, None, None)
        except ProcessStateError as error:
            found.append(error)

    with s:
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
    assert "opened by another thread" in str(found[0])


def test_neither_scope_nor_handle_can_be_sent() -> None:
    with procession.scope(name="x") as s:
        child = s.start(abs, 1)
        for thing in (s, child):
            with pytest.raises(TypeError, match="cannot be sent"):
                pickle.dumps(thing)
        assert "running" in repr(child) or "ended" in repr(child)
        assert "scope x" in repr(s)


def test_in_a_forked_child_it_is_refused() -> None:
    with procession.scope(60) as s:
        child = s.start(faults.sleep_for_ever)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                leave = partial(s.__exit__, None, None, None)
                for use in (partial(s.start, abs, 1), s.cancel, leave, child.result, child.cancel):
                    with pytest.raises(ProcessStateError, match="belongs to process"):
                        use()
                with procession.scope() as own:
                    assert own._core.outer is None
                    assert own.start(abs, -5).result(30) == 5
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert s.start(abs, -1).result(30) == 1
        child.cancel()


def test_one_that_is_never_left_is_ended_with_a_warning(marks: Marks) -> None:
    def block() -> Any:
        with procession.scope(name="lost") as s:
            yield s.start(faults.mark_and_sleep, marks.folder, "up")

    generator = block()
    child = next(generator)
    generator.close()
    assert child.cancelled()  # (that one was left: GeneratorExit)
    s = procession.scope(name="lost")
    s.__enter__()
    child = s.start(faults.sleep_for_ever)
    with pytest.warns(ResourceWarning, match="scope lost was opened, and never left"):
        del s
    eventually(child.cancelled)
