"""One way to wait: every class that can be waited for, in every form, with success, time-out, interruption and the death of the
other side by SIGKILL.

`CASES` is the table's left side; a form is a function that says whether the thing was done in time. The other side is a
process, which makes the thing done, or is killed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from waiting_cases import CASES, Case, Runner, World

from eventloops import LOOPS, Run
from procession import FIRST_COMPLETED, Barrier, Condition, WaitTimeout, as_completed, wait, wait_async
from procession.testing.watch import eventually

LONG, SHORT = 20.0, 0.02
LIBRARIES = [param.values[0] for param in LOOPS if not param.marks]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


# --- the forms: each says whether the thing was done in time ---


def by_wait(thing: Any, timeout: float) -> bool:
    return bool(wait([thing, Future()], timeout, FIRST_COMPLETED).done)


def by_as_completed(thing: Any, timeout: float) -> bool:
    try:
        return next(as_completed([thing, Future()], timeout)) is thing
    except WaitTimeout:
        return False


def by_callback(thing: Any, timeout: float) -> bool:
    called = threading.Event()
    thing.add_done_callback(lambda it: called.set() if it is thing else None)
    return called.wait(timeout)


async def by_wait_async(thing: Any, timeout: float) -> bool:
    return bool((await wait_async([thing, Future()], timeout, FIRST_COMPLETED)).done)


async def by_async_for(thing: Any, timeout: float) -> bool:
    try:
        async for it in as_completed([thing, Future()], timeout):
            return it is thing
    except WaitTimeout:
        pass
    return False


BLOCKING: dict[str, Callable[[Any, float], bool]] = {"wait": by_wait, "as_completed": by_as_completed}
ASYNC: dict[str, Callable[[Any, float], Awaitable[bool]]] = {"wait_async": by_wait_async, "async for": by_async_for}


def async_forms(case: Case, library: str) -> list[tuple[str, Callable[[Any, float], Awaitable[object]]]]:
    """(What is the same for all classes, all libraries have in `test_completion`.)"""
    return [("await", case.awaited), *(ASYNC.items() if library == LIBRARIES[0] else ())]


def forms_of(case: Case, libraries: list[str]) -> Iterator[tuple[str, Callable[[Any, float], object]]]:
    """All of them, each as one that waits in its thread."""
    yield "in place", case.in_place
    yield from BLOCKING.items()
    yield "callback", by_callback
    for library in libraries:
        for name, form in async_forms(case, library):
            yield f"{name}, {library}", partial(lambda form, library, thing, timeout: Run(library)(
                lambda: form(thing, timeout)), form, library)  # fmt: skip


def let_it_wait(thing: Any) -> None:
    """Until it is waited for, where that can be seen, and the other side would come too soon otherwise."""
    if isinstance(thing, Condition_ | Barrier_):
        eventually(lambda: len(thing.waiters) >= 1, LONG)


def nobody_waits(thing: Any, name: str = "") -> None:
    """(The callbacks' thread may be about to end its wait.)"""
    eventually(lambda: not getattr(thing, "waiters", ()), LONG, f"{name}: nobody waits")


Condition_, Barrier_ = type(Condition()), type(Barrier(1))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


# --- the table ---


def test_it_is_done(case: Case, world: World) -> None:
    for name, form in forms_of(case, LIBRARIES):
        thing = case.make(world)
        waiter = Runner(form, thing, LONG)
        let_it_wait(thing)
        case.end(world, thing)
        assert waiter.end(), name
    thing = case.make(world)
    if not isinstance(thing, Condition_ | Barrier_):
        case.end(world, thing)
        eventually(lambda: case.at_once(thing), LONG, "without waiting")


def test_it_is_not_done_in_time(case: Case, world: World) -> None:
    thing = case.make(world)
    assert not case.at_once(thing)
    for name, form in forms_of(case, LIBRARIES[:1]):
        if name == "callback" or (name == "in place" and not case.has_limit):
            continue
        began = time.monotonic()
        assert not form(thing, SHORT), name
        assert SHORT - 0.002 <= time.monotonic() - began < LONG / 2, name
        assert not form(thing, -1), name
        nobody_waits(thing, name)
    waiter = Runner(by_wait, thing, LONG)
    let_it_wait(thing)
    case.end(world, thing)
    assert waiter.end(), "after all of that"


class Interrupted(Exception):
    pass


def interrupted(form: Callable[[Any, float], object], thing: Any) -> bool:
    """Whether a signal's handler, which raises, gets it out of its wait. (A signal that comes just before the sleep is seen
    with the next.)"""

    def handler(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, SHORT, SHORT)
        form(thing, LONG)
    except Interrupted:
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return False


def test_it_is_interrupted_and_nothing_is_taken(case: Case, world: World) -> None:
    thing = case.make(world)
    for name, form in [("in place", case.in_place), *BLOCKING.items()]:
        assert interrupted(form, thing), name
    for library in LIBRARIES:
        run = Run(library)
        for name, awaited in async_forms(case, library):
            assert run(partial(run.cancelled, awaited, thing, LONG, after=SHORT)), f"{name}, {library}"
    nobody_waits(thing)
    waiter = Runner(case.in_place, thing, LONG)
    let_it_wait(thing)
    case.end(world, thing)
    assert waiter.end(), "after all of that"


def test_the_other_side_is_killed(case: Case, world: World) -> None:
    for name, form in forms_of(case, LIBRARIES[:1]):
        if name in ("as_completed", "async for") or (name not in ("in place", "wait") and not case.done_by_death):
            continue  # (they wait as the others do)
        if name == "in place" and not case.has_limit:
            continue
        thing = case.make(world)
        waiter = Runner(form, thing, LONG if case.done_by_death else 4 * SHORT)
        let_it_wait(thing)
        case.die(world, thing)
        assert bool(waiter.end()) == case.done_by_death, name
