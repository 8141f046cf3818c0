"""Bad input is named, raised in the parent, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import resource
import threading
from typing import Any

import pytest

import procession
from procession import StartError, UnpicklableError, errors
from procession.testing.saboteurs import Unpicklable, UnpicklableInChild, sleep_for_ever

PICKLING = ["zygote", "spawn"]


@pytest.mark.parametrize("method", PICKLING)
@pytest.mark.parametrize("error", [TypeError, pickle.PicklingError, AttributeError, ValueError])
@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("target", {"target": "BAD"}),
        ("args[1]", {"target": print, "args": (1, "BAD")}),
        ("kwargs['key']", {"target": print, "kwargs": {"a": 1, "key": "BAD"}}),
    ],
)
def test_what_cannot_be_pickled_is_named(method: str, error: type[Exception], part: str, options: dict[str, Any]) -> None:
    bad: Any = Unpicklable(error)
    if part == "target":
        options = {"target": bad.__init__}
    elif part == "args[1]":
        options = {**options, "args": (1, bad)}
    else:
        options = {**options, "kwargs": {"a": 1, "key": bad}}
    process = procession.get_context(method).Process(name="Nemo", **options)
    with pytest.raises(UnpicklableError) as caught:
        process.start()
    assert (caught.value.process, caught.value.part) == ("Nemo", part)
    assert "does not pickle" in str(caught.value)
    assert isinstance(caught.value, pickle.PicklingError)
    assert isinstance(caught.value, TypeError)
    assert process.pid is None
    assert process not in procession.active_children()


@pytest.mark.parametrize("method", PICKLING)
def test_an_attribute_of_a_subclass_is_named(method: str) -> None:
    class Mine(procession.get_context(method).Process):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.handle = threading.Lock()

    with pytest.raises(UnpicklableError) as caught:
        Mine().start()
    assert caught.value.part == "attribute 'handle'"


@pytest.mark.parametrize("method", PICKLING)
def test_it_can_be_tried_again_after_the_cause_is_gone(method: str) -> None:
    class Mine(procession.get_context(method).Process):  # type: ignore[misc]
        handle: Any = None

    process = Mine(target=int)
    process.handle = threading.Lock()
    with pytest.raises(UnpicklableError):
        process.start()
    process.handle = None
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("method", PICKLING)
def test_what_fails_to_unpickle_ends_the_child_with_its_traceback(method: str, capfd: Any) -> None:
    process = procession.get_context(method).Process(target=print, args=(UnpicklableInChild(),), name="Nemo")
    process.start()
    process.join()
    assert process.exitcode == 1
    err = capfd.readouterr().err
    assert "Nemo" in err
    assert "this object does not unpickle" in err


def test_an_error_of_the_objects_own_comes_through() -> None:
    class Odd(Exception):
        pass

    with pytest.raises(Odd):
        procession.Process(target=print, args=(Unpicklable(Odd),)).start()


def test_too_few_descriptors(ctx: Any) -> None:
    """A clean OSError, and it works again when there are. Who ends meanwhile is reaped, with what keeps its memory
    a moment longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ctx.Process(target=int).start()
    gate = ctx.Event()
    ends = ctx.Process(target=gate.wait)
    ends.start()
    assert ends.sentinel >= 0  # (whose descriptor is not given back)
    started, taken, failed = [], [], None
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        gate.set()
        ends.join()
        for _ in range(20):  # (what stands ready may be started without a descriptor more)
            started.append(ctx.Process(target=sleep_for_ever))
            started[-1].start()
    except OSError as error:
        failed = error
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert failed is not None
    assert failed.errno == errno.EMFILE, failed
    last = started.pop()
    assert last.pid is None
    last.start()
    assert last.is_alive()
    for process in (*started, last):
        process.kill()
        process.join()


def test_too_few_processes(program: Any) -> None:
    """RLIMIT_NPROC does not bind root: the program becomes somebody else first, if it can."""
    done = program.run_script("""
        import os, procession, resource
        first = procession.get_context("fork").Process(); first.start(); first.join()
        if os.getuid() == 0:
            os.setresuid(54321, 54321, 54321)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
        p = procession.get_context("fork").Process(target=int)
        try:
            p.start()
        except OSError as error:
            print(type(error).__name__, error.errno, p.pid)
        resource.setrlimit(resource.RLIMIT_NPROC, (4000, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
        p.start(); p.join(); print(p.exitcode)
    """)
    assert done.stdout == "StartError 11 None\n0\n", done.stderr


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_pickles_with_its_facts(name: str) -> None:
    kind = getattr(errors, name)
    facts: dict[str, tuple[Any, ...]] = {"UnpicklableError": ("Nemo", "target", "why")}
    facts["OwnerDied"] = facts["OwnerDiedWarning"] = ("Lock", "Nemo", 1, 2, 3.0)
    facts["ProcessTimeout"], facts["ScopeTimeout"] = ("Nemo", 1.5, 2, -15), ("scope", 1.5, ("Nemo",))
    facts["RestartLimit"] = ("supervisor", "Nemo", 3, 5.0, 4)
    error = kind(*facts.get(name, (11, "no room")))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.args == error.args
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
    if kind is StartError:
        assert again.errno == 11


def test_errors_keep_multiprocessings_bases() -> None:
    assert issubclass(errors.ProcessionError, procession.ProcessError)
    assert issubclass(errors.ProcessStateError, AssertionError)
    assert issubclass(errors.ClosedError, ValueError)
    assert issubclass(errors.StartError, OSError)
    assert issubclass(errors.StartMethodError, ValueError)


@pytest.mark.parametrize("method", ["thread", "", 5, None])
def test_an_unknown_start_method(method: Any) -> None:
    if method is None:
        assert procession.get_context(None)
        return
    with pytest.raises(ValueError, match="start methods are"):
        procession.get_context(method)
