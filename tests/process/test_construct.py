"""What can be said about a process before it starts."""

from __future__ import annotations

import gc
import inspect
import os
import weakref
from multiprocessing import Process as TheirProcess
from typing import Any

import pytest

import procession
from procession import Process


@pytest.mark.parametrize("target", [1, "text", [], object()])
def test_a_target_that_cannot_be_called_is_refused_at_once(target: Any) -> None:
    with pytest.raises(TypeError, match="target must be callable or None"):
        Process(target=target)


@pytest.mark.parametrize("args", [1, None, object()])
def test_arguments_that_cannot_be_iterated_are_refused_at_once(args: Any) -> None:
    with pytest.raises(TypeError):
        Process(target=print, args=args)


def test_keyword_arguments_must_be_a_mapping() -> None:
    with pytest.raises((TypeError, ValueError)):
        Process(target=print, kwargs=5)  # type: ignore[arg-type]


def test_a_group_is_refused() -> None:
    with pytest.raises(AssertionError):
        Process(group=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("stdin", [True, 1.5, object(), []])
def test_a_standard_input_that_is_none_is_refused_at_once(stdin: Any) -> None:
    with pytest.raises(TypeError, match="stdin must be"):
        Process(target=print, stdin=stdin)


def test_the_signature_begins_with_multiprocessings() -> None:
    theirs = list(inspect.signature(TheirProcess.__init__).parameters.values())
    ours = list(inspect.signature(Process.__init__).parameters.values())
    assert [p.name for p in ours[: len(theirs)]] == [p.name for p in theirs]
    assert [p.kind for p in ours[: len(theirs)]] == [p.kind for p in theirs]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


def test_what_is_known_before_the_start(ctx: Any) -> None:
    process = ctx.Process(target=print, name="Ada")
    assert process.name == "Ada"
    assert process.pid is None
    assert process.ident is None
    assert process.exitcode is None
    assert process.state == "initial"
    assert not process.is_alive()
    assert not process.daemon
    assert not process.detached
    assert process.times() == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="not started"):
        _ = process.sentinel


def test_names_count_and_can_be_changed() -> None:
    first, second = Process(), Process()
    assert first.name.startswith("Process-")
    assert int(second.name.rpartition("-")[2]) == int(first.name.rpartition("-")[2]) + 1
    first.name = "other"
    assert first.name == "other"
    assert "other" in repr(first)
    with pytest.raises(AssertionError):
        first.name = 5  # type: ignore[assignment]


def test_daemon_can_be_set_until_the_start(ctx: Any) -> None:
    assert ctx.Process(daemon=True).daemon
    process = ctx.Process()
    process.daemon = True
    assert process.daemon
    process.start()
    with pytest.raises(AssertionError):
        process.daemon = False
    process.join()


def test_the_authkey_is_the_parents_until_it_is_set() -> None:
    process = Process()
    assert process.authkey == procession.current_process().authkey
    process.authkey = b"secret"
    assert process.authkey == b"secret"


def test_an_unstarted_object_is_collected_with_what_it_holds() -> None:
    class Burden:
        pass

    burden = Burden()
    process = Process(target=print, args=(burden,))
    seen = weakref.ref(process), weakref.ref(burden)
    del process, burden
    gc.collect()
    assert seen[0]() is None
    assert seen[1]() is None


def test_a_start_lets_go_of_target_and_arguments(ctx: Any) -> None:
    class Burden:
        def __call__(self) -> None:
            pass

    burden = Burden()
    seen = weakref.ref(burden)
    process = ctx.Process(target=burden)
    del burden
    process.start()
    process.join()
    gc.collect()
    assert seen() is None


def test_a_joined_object_is_collected(ctx: Any) -> None:
    process = ctx.Process(target=int)
    process.start()
    process.join()
    seen = weakref.ref(process)
    del process
    gc.collect()
    assert seen() is None


def test_a_running_child_outlives_its_object(ctx: Any) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    process = ctx.Process(target=os.read, args=(0, 1), stdin=read)
    process.start()
    pid = process.pid
    del process
    gc.collect()
    assert [p.pid for p in procession.active_children()] == [pid]
    os.write(write, b".")
    procession.active_children()[0].join() if procession.active_children() else None
    os.close(read)
    os.close(write)
