"""Ctrl-C and SIGKILL at any moment: nothing of a scope is left."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import scope_faults as faults
from scope_tools import Loops, Marks, alive

import procession
from procession.core import callers
from procession.pool.engine import Engine
from procession.testing.watch import descendants_of, eventually, wait_gone

ROUNDS = 20 if os.environ.get("PROCESSION_SHORT") else 200


class Keyboard:
    """Presses Ctrl-C by itself."""

    def __init__(self) -> None:
        self.armed = False
        self.came = 0

    def press(self, *_: Any) -> None:
        if self.armed:
            self.came += 1
            signal.raise_signal(signal.SIGINT)

    def after(self, *seconds: float) -> None:
        """Once, or again and again."""
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, *seconds)

    def rest(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    made = Keyboard()
    before = signal.signal(signal.SIGALRM, made.press), signal.signal(signal.SIGINT, signal.default_int_handler)
    yield made
    made.rest()
    signal.signal(signal.SIGALRM, before[0])
    signal.signal(signal.SIGINT, before[1])


def block() -> None:
    with procession.scope(60, grace=0.5) as s:
        s.start(faults.sleep_for_ever)
        child = s.start(abs, -1)
        with procession.scope() as inner:
            inner.start(faults.sleep_for_ever)
            child.result(30)
            inner.cancel()
        s.cancel()


def supervise() -> None:
    with procession.supervisor("one_for_all", intensity=1000) as s:
        s.start(faults.sleep_for_ever)
        child = s.start(faults.die)
        eventually(lambda: child.restarts > 1)
        s.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # (in a weak reference's callback, say)
@pytest.mark.parametrize("what", [block, supervise])
def test_ctrl_c_at_any_moment(what: Any, keyboard: Keyboard) -> None:
    what()  # (imports that are interrupted would be told of, and are not what this is about)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(ROUNDS):
        try:
            try:
                keyboard.after(chance.uniform(0.0001, 0.05))
                what()
            finally:
                keyboard.rest()
        except KeyboardInterrupt:  # (in `rest`, perhaps)
            keyboard.rest()
        assert procession.active_children() == [], f"round {number}, seed {seed}"


def test_ctrl_c_again_kills_who_does_not_hear(keyboard: Keyboard, marks: Marks) -> None:
    children = []
    with pytest.raises(KeyboardInterrupt), procession.scope(grace=3600) as s:
        for name, shield in (("deaf", False), ("shielded", True)):
            children.append(s.with_options(shield=shield).start(faults.deaf, marks.folder, name))
        marks.wait("deaf", "shielded")
        keyboard.after(0.05, 0.05)
    keyboard.rest()
    assert keyboard.came >= 2
    assert [child.process.exitcode for child in children] == [-signal.SIGKILL] * 2


def test_ctrl_c_in_an_event_loop(keyboard: Keyboard, loops: Loops) -> None:
    children = []

    async def main() -> None:
        async with procession.scope() as s:
            children.append(s.start(faults.sleep_for_ever))
            keyboard.after(0.02)
            await loops.sleep_for_ever()

    with pytest.raises(KeyboardInterrupt):
        loops.run(main)
    keyboard.rest()
    assert children[0].cancelled()


PROGRAM = """
import os, sys, procession

def sleep():
    import time
    time.sleep(3600)

s = procession.scope()
s.__enter__()
for _ in range(2):
    s.start(sleep)
s.submit(sleep)
sys.stdout.write("up\\n")
sys.stdout.flush()
if sys.argv[1] == "hangs":
    sleep()
"""


@pytest.mark.parametrize("how", ["SIGKILL", "the program ends"])
def test_what_is_left_open_goes_with_its_process(how: str, program: Any) -> None:
    running = program.start(program.script(PROGRAM), "hangs" if how == "SIGKILL" else "ends")
    assert running.stdout.readline() == "up\n"
    below = descendants_of(running.pid)
    if how == "SIGKILL":
        running.kill()
    running.wait(30)
    wait_gone(below)
    assert not alive(running.pid)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_raises_in_a_start_leaves_no_process() -> None:
    """Any handler, not only that of Ctrl-C."""

    class Alarm(Exception):
        pass

    def ring(*_: Any) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    chance = random.Random(0)
    try:
        for _ in range(ROUNDS * 2):
            try:
                try:
                    with procession.scope(grace=0.5) as s:
                        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.004))
                        for _ in range(3):
                            s.start(faults.sleep_for_ever)
                        s.cancel()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except (Alarm, ExceptionGroup):
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert procession.active_children() == []
    assert sys.exc_info() == (None, None, None)


def test_ctrl_c_does_not_wait_for_a_callback_that_hangs(keyboard: Keyboard) -> None:
    released = threading.Event()
    try:
        with pytest.raises(KeyboardInterrupt), procession.scope() as s:
            s.submit(abs, -1).add_done_callback(lambda _: released.wait(5))
            keyboard.after(0.05, 0.05)
        keyboard.rest()
        assert not callers.drain(0)  # (it is still there)
    finally:
        keyboard.rest()
        released.set()


def test_ctrl_c_while_something_is_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been taken on by the pool is the scope's, too."""
    see = Engine._see_to_workers

    def be_interrupted(engine: Engine) -> None:
        if not engine.closing:
            signal.raise_signal(signal.SIGINT)
        see(engine)

    monkeypatch.setattr(Engine, "_see_to_workers", be_interrupted)
    with pytest.raises(KeyboardInterrupt), procession.scope() as s:
        s.submit(faults.sleep_for_ever)
    assert procession.active_children() == []
