"""Workers killed again and again: every task ends, rightly. The storm in short, and what it has found."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from pool_saboteurs import Face, square

from procession import _native
from procession.testing import watch

STORM = Path(__file__).parents[2] / "scripts" / "pool-storm"
SECONDS = "3" if os.environ.get("PROCESSION_SHORT") else "6"


@pytest.mark.no_leak_guard
def test_the_storm_in_short() -> None:
    done = subprocess.run([sys.executable, STORM, "--seconds", SECONDS], capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.endswith("; 0 faults\n")


@pytest.mark.parametrize("worked", [True, False])
def test_workers_that_are_killed_while_idle_are_no_sign_that_none_can_live(worked: bool) -> None:
    """However many: five that never came up would be one."""
    face = Face("pool", "zygote")
    members = face.pool._engine.crew.members
    for round_ in range(8):
        if worked:
            assert [face.outcome(face.submit(square, number)) for number in range(4)] == [0, 1, 4, 9]
        watch.eventually(lambda: len(members) == 2 and all(member.serving for member in members.values()))
        number, victim = next(iter(members.items()))
        victim.process.kill()
        watch.eventually(partial(lambda number: number not in members, number), what=f"round {round_}")
    assert face.outcome(face.submit(square, 3)) == 9
    face.close()


def test_the_memory_of_a_pool_goes_with_it_whoever_keeps_its_functions() -> None:
    """Those that travel by value lie in the family's memory, and may live as long as the program."""
    kept = [lambda number: number + 1, lambda number: number + 2]

    def one() -> int:
        face = Face("executor", "zygote")
        assert [face.outcome(face.submit(function, 1)) for function in kept] == [2, 3]
        face.close()
        del face
        gc.collect()
        used: int = _native.commons_facts()["arena_used"]
        return used

    first = one()
    watch.eventually(lambda: one() <= first)
