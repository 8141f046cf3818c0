"""Scopes within scopes, what else may be over with one, and what is refused."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Marks, alive

import procession
from procession import ProcessDied, ProcessStateError, ScopeEnded, ScopeTimeout, scopes
from procession.testing.watch import eventually

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


def test_who_submits_to_the_queue_of_a_scope_that_was_ended_gets_scope_ended() -> None:
    """And leaving takes it, as that of `start`."""
    with procession.scope(name="kitchen") as s:
        queue = s.queue("orders")
        s.cancel()
        with pytest.raises(ScopeEnded, match="scope kitchen takes on nothing more: it was cancelled"):
            queue.sync(abs, 1)
        queue.async_(abs, 1)
    with procession.scope() as s:
        queue = s.queue("orders")
        queue.close()
        with pytest.raises(RuntimeError, match="it was closed") as caught:
            queue.async_(abs, 1)
        assert not isinstance(caught.value, ScopeEnded)


def test_a_suspended_queue_is_over_when_what_runs_is(marks: Marks) -> None:
    with procession.ProcessPoolExecutor(1) as pool:
        with procession.scope() as s:
            queue = s.adopt(procession.DispatchQueue("kitchen", executor=pool))
            block = queue.async_(faults.mark_and_wait, marks.folder, "up", "go")
            marks.wait("up")
            queue.suspend()
            later = queue.async_(abs, 1)
            threading.Timer(0.05, faults.mark, (marks.folder, "go")).start()
        assert block.result(0) == "go"
        assert later.cancelled()


def test_what_an_adopted_thing_raises_is_a_failure() -> None:
    """And all others are ended nonetheless."""

    class Stubborn(Thing):
        def close(self) -> None:
            raise OSError("cannot be closed")

        def cancel(self) -> None:
            raise OSError("cannot be cancelled")

    with pytest.raises(ExceptionGroup) as caught, procession.scope() as s:
        child = s.start(faults.sleep_for_ever)
        s.adopt(Stubborn())
    assert [str(error) for error in caught.value.exceptions] == ["cannot be closed", "cannot be cancelled"]
    assert child.cancelled()
    with procession.scope() as s, pytest.raises(RuntimeError, match="cannot be adopted"):
        s.adopt(procession.global_queue())
    with procession.ProcessPoolExecutor(1) as pool, procession.DispatchQueue("ours", executor=pool) as queue:
        assert "belongs to process" in queue.sync(faults.adopt, queue)


@pytest.mark.parametrize("how", ["time limit", "cancelled", "cancelled while it is left"])
def test_a_worker_that_does_not_leave_is_ended(how: str) -> None:
    """A task has left a thread in it."""
    block = procession.scope(0.5 if how == "time limit" else None, grace=0.2, name="kitchen")
    with pytest.raises(ScopeTimeout) if how == "time limit" else nullcontext():
        with block as s:
            pid = s.submit(faults.leave_thread).result(30)
            if how == "cancelled":
                s.cancel()
            elif how != "time limit":
                cancels = threading.Thread(target=lambda: (eventually(lambda: s._core.sealed), s.cancel()))
                cancels.start()
    assert not alive(pid)
    assert s.over


def test_who_comes_when_its_pool_goes_home_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its look at the scope and the pool the last other member was over."""
    found: list[BaseException] = []

    def submit_too_late(s: Any) -> None:
        def sealed(options: Any, executor: Any = s._executor) -> Any:
            pool = executor(options)
            eventually(lambda: s.over)
            return pool

        monkeypatch.setattr(s, "_executor", sealed)
        try:
            s.submit(abs, 1)
        except Exception as error:
            found.append(error)

    with procession.scope() as s:
        s.submit(abs, 1)
        late = threading.Thread(target=submit_too_late, args=(s,))
        late.start()
    late.join()
    assert [type(error) for error in found] == [ScopeEnded]


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": -1}, ValueError), ({"timeout": "x"}, ValueError), ({"grace": None}, ValueError),
        ({"grace": float("nan")}, ValueError), ({"name": 1}, TypeError), ({"pool": 3}, TypeError),
        ({"shield": 5}, TypeError), ({"mp_context": "spawn"}, TypeError),
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
    lock = threading.Lock()
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("target", (lambda: lock,), {}),
        ("args[0]", (print, lock), {}),
        ("args[1]", (print, 1, lock), {}),
        ("kwargs", (print,), {"end": lock}),
    ]
    with procession.scope() as s:
        for part, call, kwargs in calls:
            with pytest.raises(procession.UnpicklableError) as caught:
                s.start(*call, **kwargs)
            assert caught.value.part == part
            assert isinstance(caught.value.__cause__, TypeError)
        assert s.start(abs, -1).result(30) == 1


def test_what_cannot_be_called_raises_at_the_start() -> None:
    async def coroutine() -> None:
        pass

    made = coroutine()
    for block in (procession.scope(), procession.supervisor()):
        with block as s:
            with pytest.raises(TypeError, match="must be callable, not coroutine"):
                s.start(made)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="must be callable, not NoneType"):
                s.start(None)  # type: ignore[arg-type]
    with procession.scope() as scope:
        with pytest.raises(TypeError, match="must be callable, not coroutine"):
            scope.submit(made)  # type: ignore[arg-type]
    made.close()


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


def test_what_was_not_opened_is_not_left() -> None:
    for made in (procession.scope(), procession.supervisor()):
        with pytest.raises(ProcessStateError, match="is not open here"):
            made.__exit__(None, None, None)
        with pytest.raises(ProcessStateError, match="is not open here"):
            asyncio.run(made.__aexit__(None, None, None))


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
