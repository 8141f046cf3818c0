"""The fault matrix of pools: whatever goes wrong, wherever, one task ends by it, and no other.

                        raise  sys.exit  os._exit  SIGKILL  SIGSEGV  hang  memory
    pickling a task       c       c         p         p        p      t      p
    unpickling it         w       w         w         w        w      w      w
    initializer           P       P         w         w        w      h      P
    running               w       w         w         w        w      w      w
    pickling the result   w       w         w         w        w      w      w
    unpickling it         c       c         p         p        p      t      p
    callback              c       c         p         p        p      t      p
    exit function         w       w         w         w        w      h      w
    finalizer             w       w         w         w        w      h      w

    w   in the worker: the task's own error, WorkerDied, TaskTimeout or MemoryError; of initializers and exits: nobody's
    P   the pool's: by contract an initializer that fails ends all tasks, with InitializerFailed
    h   that worker never comes back: the others do the tasks; to close means to kill it
    c   in the caller (pickling in the thread of submit, unpickling in that of result, callbacks in one of ours): its error
    t   the same: the thread that hangs is the caller's own (or its callback's), all others go on
    p   the same, in a program of its own: what ends a process or bounds its memory there, does that to the program

The memory bomb in a running task is caught by `memory_limit`; elsewhere it brings its own RLIMIT_DATA along, since the option
is about the call alone. No cell is left out, with one reservation: the standard library forbids max_tasks_per_child to
executors whose method is fork, so there the exits are those at the end only. With PROCESSION_FULL=1 in the environment
every cell is run with every start method, with PROCESSION_SHORT=1 the representative columns only (with spawn, each
by one of the two kinds); else see `cells`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from multiprocessing.pool import MaybeEncodingError
from pathlib import Path
from typing import Any

import pool_saboteurs
import pytest
from pool_saboteurs import DEADLY, FACES, FAULTS, ROOM, Face, at_exit, give_pickled, give_unpickled, once, released, square

from procession.errors import InitializerFailed, TaskStopped, TaskTimeout, UnpicklableError, WorkerDied
from procession.testing import saboteurs, watch
from procession.testing.saboteurs import WhenPickled, WhenUnpickled

METHODS = ["zygote", "fork", "spawn"]
BOUND = 8.0  # seconds in which a pool must have closed (it takes a few hundredths; this machine may be busy)
SOON = {"timeout": 0.15, "grace": 0.1}  # of tasks that hang


#: All cells with all start methods take some minutes; else fork and spawn have the columns that stand for the others (their way
#: through the pool is the same, only the start differs), and so have the programs.
FULL = bool(os.environ.get("PROCESSION_FULL"))
SHORT = bool(os.environ.get("PROCESSION_SHORT"))
REPRESENTATIVE = ("raise", "SIGKILL", "hang")
#: In short, these are the columns of each kind with spawn, whose every worker is a fresh interpreter: the two share the engine.
SPAWNED = {"pool": ("SIGKILL",), "executor": ("raise", "hang")}


def cells(names: Iterable[str], short: tuple[str, ...] = ("fork", "spawn")) -> Any:
    """A row of the matrix with the start methods; `short` ones have the representative columns, unless all is asked for."""
    found = [
        (kind, way, name)
        for kind in FACES
        for way in METHODS
        for name in names
        if FULL or name in (SPAWNED[kind] if SHORT and way == "spawn" else REPRESENTATIVE) or (not SHORT and way not in short)
    ]
    return pytest.mark.parametrize(("kind", "method", "name"), found)


@pytest.fixture(params=FACES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Neighbours:
    """Tasks before and behind the one that is hit, and others when all is over."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.handles: list[tuple[int, Any]] = []

    def submit(self) -> None:
        start = len(self.handles)
        self.handles += [(number, self.face.submit(square, number)) for number in range(start, start + 6)]

    def check(self) -> None:
        self.submit()
        for number, handle in self.handles:
            assert self.face.outcome(handle) == number * number
        self.handles.clear()


def close(face: Face, how: Callable[[Face], None] = Face.close) -> None:
    """In bounded time; the workers are gone then. (What else may be left, the leak guard finds.)"""
    workers = [watch.identity(pid) for pid in list(face.pool._engine.crew.processes) if pid]
    began = time.monotonic()
    how(face)
    assert time.monotonic() - began < BOUND
    watch.wait_gone([who for who in workers if who is not None], 1)


def check_error(kind: str, name: str, error: Any, *, wrapped: bool = False) -> None:
    """That is how a task ends when this happens in its worker. `wrapped`: its result could not be sent."""
    if name in DEADLY:
        assert isinstance(error, WorkerDied), repr(error)
        assert error.exitcode == DEADLY[name]
    elif name == "hang":
        assert isinstance(error, TaskTimeout), repr(error)
        assert error.stopped_by == "exception"
    elif wrapped and kind == "pool":
        assert isinstance(error, MaybeEncodingError), repr(error)
    else:
        check_own(name, error)


def check_own(name: str, error: Any) -> None:
    """It is what was raised."""
    expected = {"raise": ValueError, "sys.exit": SystemExit, "memory": MemoryError}[name]
    assert type(error) is expected, repr(error)
    if name != "memory":
        assert error.args == {"raise": ("sabotage",), "sys.exit": (3,)}[name]


# --- in the worker ---

#: Where: what is submitted.
STAGES: dict[str, Callable[[Face, Any, Any, dict[str, Any]], Any]] = {
    "unpickling the task": lambda face, fault, args, options: face.submit(square, WhenUnpickled(fault, *args), **options),
    "running": lambda face, fault, args, options: face.submit(fault, *args, **options),
    "pickling the result": lambda face, fault, args, options: face.submit(give_pickled, fault, *args, **options),
}


@cells(FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_task_that_fails_in_its_worker(kind: str, method: str, stage: str, name: str) -> None:
    fault, args = FAULTS[name]
    options: dict[str, Any] = SOON if name == "hang" else {}
    if (stage, name) == ("running", "memory"):
        args, options = (), {"memory_limit": ROOM}
    face = Face(kind, method)
    neighbours = Neighbours(face)
    neighbours.submit()
    hit = STAGES[stage](face, fault, args, options)
    neighbours.submit()
    check_error(kind, name, face.outcome(hit), wrapped=stage == "pickling the result")
    neighbours.check()
    close(face)


class Mute(Exception):
    """Neither its str nor its pickling goes well."""

    def __str__(self) -> str:
        raise ValueError("nothing to say")

    def __reduce__(self) -> Any:
        raise ValueError("not to be sent")


@pytest.mark.parametrize("error", [TaskStopped("by itself"), Mute()], ids=["stopped", "mute"])
def test_a_task_that_raises_what_is_hard_to_tell(kind: str, error: BaseException) -> None:
    face = Face(kind, "zygote")
    stopped = isinstance(error, TaskStopped)
    hit = face.submit(lambda which: saboteurs.raise_error(TaskStopped("by itself") if which else Mute()), stopped)
    found = face.outcome(hit)
    assert isinstance(found, CancelledError if stopped else UnpicklableError), repr(found)
    assert face.outcome(face.submit(square, 3)) == 9
    close(face)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_task_that_is_deaf(method: str, how: str, tmp_path: Path) -> None:
    face = Face("executor", method)
    neighbours = Neighbours(face)
    neighbours.submit()
    hit = face.submit(pool_saboteurs.deaf, str(tmp_path / "runs"), grace=0.1, timeout=0.5 if how == "timeout" else None)
    neighbours.submit()
    watch.eventually((tmp_path / "runs").exists)
    if how == "cancel":
        assert hit.cancel()
        assert isinstance(face.outcome(hit), CancelledError)
    else:
        error = face.outcome(hit)
        assert isinstance(error, TaskTimeout), repr(error)
        assert error.stopped_by == "SIGKILL"
    neighbours.check()
    close(face)


# --- at a worker's beginning and its end ---


@cells([*DEADLY, "hang"])
def test_a_worker_that_ends_in_its_initializer(kind: str, method: str, name: str, tmp_path: Path) -> None:
    fault, args = FAULTS[name]
    face = Face(kind, method, initializer=once, initargs=(str(tmp_path / "was"), fault, *args))
    neighbours = Neighbours(face)
    neighbours.submit()
    neighbours.check()
    close(face, Face.kill if name == "hang" else Face.close)


@cells(["raise", "sys.exit", "memory", "SIGKILL"])
def test_an_initializer_that_always_fails(kind: str, method: str, name: str) -> None:
    """Is the pool's failure: all tasks end by it, and so does each that is submitted later."""
    fault, args = FAULTS[name]
    face = Face(kind, method, initializer=fault, initargs=args)
    try:
        handles = [face.submit(square, number) for number in range(4)]
    except InitializerFailed:  # (it was that quick)
        handles = []
    for handle in handles:
        assert isinstance(face.outcome(handle), InitializerFailed)
    watch.eventually(lambda: face.pool._engine.broken is not None)
    with pytest.raises(InitializerFailed):
        face.submit(square, 1)
    close(face)


@cells(FAULTS)
@pytest.mark.parametrize("stage", ["exit function", "finalizer"])
def test_a_worker_that_fails_as_it_leaves(kind: str, method: str, stage: str, name: str) -> None:
    fault, args = FAULTS[name]
    options: dict[str, Any] = {"exit_function": fault, "exit_args": args}
    if stage == "finalizer":
        options = {"initializer": at_exit, "initargs": (fault, *args)}
    if (kind, method) != ("executor", "fork"):
        options["max_tasks_per_child"] = 4
    face = Face(kind, method, **options)
    neighbours = Neighbours(face)
    neighbours.submit()
    neighbours.submit()
    neighbours.check()
    assert face.pool.exit_results == [] or stage == "finalizer"
    close(face, Face.kill if name == "hang" else Face.close)


# --- in the caller ---


def in_a_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    return thread, found


@cells(["raise", "sys.exit"])
def test_a_task_that_cannot_be_pickled(kind: str, method: str, name: str) -> None:
    """An Exception is the task's; what is none (sys.exit) is the caller's, there and then."""
    fault, args = FAULTS[name]
    face = Face(kind, method)
    neighbours = Neighbours(face)
    neighbours.submit()
    if name == "sys.exit":
        with pytest.raises(SystemExit):
            face.submit(square, WhenPickled(fault, *args))
    else:
        check_own(name, face.outcome(face.submit(square, WhenPickled(fault, *args))))
    neighbours.check()
    close(face)


@cells(["raise", "sys.exit"])
def test_a_result_that_cannot_be_unpickled(kind: str, method: str, name: str) -> None:
    fault, args = FAULTS[name]
    face = Face(kind, method)
    neighbours = Neighbours(face)
    neighbours.submit()
    hit = face.submit(give_unpickled, fault, *args)
    neighbours.submit()
    for _ in range(2):  # (it stays so)
        check_own(name, face.outcome(hit))
    neighbours.check()
    close(face)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", ["pickling the task", "unpickling the result"])
def test_a_caller_that_hangs(kind: str, method: str, stage: str) -> None:
    """Only its own thread does."""
    face = Face(kind, method)
    neighbours = Neighbours(face)
    neighbours.submit()
    released.clear()
    hang = pool_saboteurs.wait_released
    try:
        if stage == "pickling the task":
            thread, found = in_a_thread(lambda: face.outcome(face.submit(square, WhenPickled(hang))))
        else:
            hit = face.submit(give_unpickled, hang)
            thread, found = in_a_thread(lambda: face.outcome(hit))
        neighbours.check()
        assert thread.is_alive()
        assert found == []
    finally:
        released.set()
    thread.join(20)
    assert len(found) == 1
    assert found == [None] or isinstance(found[0], TypeError)  # (None has no square)
    neighbours.check()
    close(face)


@cells(["raise", "sys.exit", "hang"])
def test_a_callback_that_fails(kind: str, method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, and harms nothing; one that hangs keeps no other from being called."""
    reported: list[Any] = []
    called: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    fault, args = FAULTS[name] if name != "hang" else (pool_saboteurs.wait_released, ())
    released.clear()
    face = Face(kind, method)
    neighbours = Neighbours(face)
    neighbours.submit()
    hit = face.submit(square, 3, callback=lambda _: fault(*args))
    others = [face.submit(square, number, callback=called.append) for number in range(3)]
    try:
        neighbours.check()
        assert [face.outcome(other) for other in others] == [0, 1, 4]
        watch.eventually(lambda: len(called) == 3, what="the others' callbacks were called")
    finally:
        released.set()
    assert face.outcome(hit) == 9
    close(face)
    if name != "hang":
        where = {("raise", "executor"): []}.get((name, kind), [ValueError if name == "raise" else SystemExit])
        assert reported == where  # (of futures: concurrent.futures' logger has it)


@cells([*DEADLY, "memory"], ("fork", "spawn"))
@pytest.mark.parametrize("stage", ["pickling the task", "unpickling the result", "callback"])
def test_a_program_that_is_hit_itself(program: Any, kind: str, method: str, stage: str, name: str) -> None:
    """It dies as it would without a pool, and nothing is left of its family. A memory bomb is the one task's."""
    running = program.start(str(Path(pool_saboteurs.__file__)), kind, method, stage, name, stdin=-1)
    assert running.stdout.readline() == "ready\n", running.stderr.read()
    family = watch.descendants_of(running.pid)
    assert len(family) >= 2
    out, err = running.communicate("go\n", timeout=30)
    assert running.returncode == DEADLY.get(name, 0), err
    assert out == ("" if name in DEADLY else "done\n")
    watch.wait_gone(family, 5)


def test_the_table_above_is_this_matrix() -> None:
    header, *rows = (__doc__ or "").splitlines()[2:12]
    assert header.split() == list(FAULTS)
    assert len(rows) == 9
    assert all(len(row.split()[-7:]) == 7 for row in rows)
    assert saboteurs.eat_memory is FAULTS["memory"][0]
