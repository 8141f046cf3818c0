"""When the program ends, however it ends, nothing that it started is left but what it detached."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from programs import EVERY_KIND, KINDS, NOTE

from procession.testing import watch
from procession.testing.watch import eventually, is_running, wait_gone

ENDS = {
    "returns": ("", 0),
    "exits at once": ("os._exit(4)", 4),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", 137),
    "raises": ("1 / 0", 1),
}


@pytest.mark.parametrize("how", ENDS)
def test_everything_is_ended(run: Any, program: Any, pids: Any, tmp_path: Path, how: str) -> None:
    then, status = ENDS[how]
    path = program.script(EVERY_KIND.replace("THEN", then))
    done = run("--report", "report", path)
    assert done.returncode == status, done.stderr
    assert pids.noted() >= set(KINDS)
    assert pids.running() == []  # not "soon": it is so when the command returns
    left = [one["name"] for one in json.loads((tmp_path / "report").read_text())["processes"] if one["end"] == "left over"]
    assert left.count("sleep") >= 4, left


def test_zombies_of_orphans_are_reaped_while_the_program_runs(start: Any, program: Any, pids: Any) -> None:
    path = program.script(
        NOTE
        + """
import signal
pid = os.fork()
if pid == 0:
    again = os.fork()
    if again == 0:
        signal.pause()  # until the test lets go
    note("orphan", again)
    os._exit(0)
os.waitpid(pid, 0)
note("program", os.getpid())
os.read(0, 2)
"""
    )
    runner = start("-q", path, stdin=-1)
    who = pids.wait("orphan", "program")
    eventually(lambda: who["orphan"].pid in watch.children_of(runner.pid), what="the runner is given the orphan")
    os.kill(who["orphan"].pid, signal.SIGTERM)
    eventually(lambda: watch.identity(who["orphan"].pid) != who["orphan"], what="the orphan is reaped")
    assert is_running(who["program"])
    runner.communicate("x", timeout=30)
    assert runner.returncode == 0


def test_the_detached_are_spared_with_what_they_started(start: Any, program: Any, pids: Any) -> None:
    path = program.script(
        NOTE
        + """
import procession, subprocess, time

def outlive():
    note("below", subprocess.Popen(["sleep", "3600"]).pid)
    if os.fork() == 0:
        if os.fork() == 0:
            note("orphan", os.getpid())
            time.sleep(3600)
        os._exit(0)
    note("detached", os.getpid())
    time.sleep(3600)

procession.Process(target=outlive, detached=True).start()
procession.Process(target=time.sleep, args=(3600,), daemon=True).start()
while len(open(FILE).read().splitlines() if os.path.exists(FILE) else "") < 3:
    time.sleep(0.005)
"""
    )
    runner = start(path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # (a pipe would stay open as long as they live)
    assert runner.wait(30) == 0
    assert all(is_running(who) for who in pids.wait("detached", "below", "orphan").values())


def test_a_killed_runner_takes_all_with_it(start: Any, program: Any, pids: Any) -> None:
    runner = start("-q", program.script(EVERY_KIND.replace("THEN", "time.sleep(3600)")))
    everyone = pids.wait("program", *KINDS)
    for kind in ("daemon", "no-environment"):  # nothing but being the runner's (the program's) child led to it: native/kin.h
        os.kill(everyone.pop(kind).pid, signal.SIGKILL)
    runner.kill()
    wait_gone(everyone.values())


def test_a_killed_runner_takes_plain_children_with_it(start: Any, program: Any, pids: Any) -> None:
    """A program that never used a Process has no zygote to see to it: the guard does, even if it was killed once
    itself."""
    code = """
import subprocess, time
note("child", subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)
note("program", os.getpid())
time.sleep(3600)
"""
    runner = start("-q", program.script(NOTE + code))
    who = pids.wait("program", "child")
    guard = guard_of(runner.pid, who["program"].pid)
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: guard_of(runner.pid, who["program"].pid) not in (0, guard), what="a new guard")
    eventually(lambda: guard_waits(guard_of(runner.pid, who["program"].pid)), what="the guard is at its post")
    runner.kill()
    wait_gone(who.values())


def guard_of(runner: int, program: int) -> int:
    return next((pid for pid in watch.children_of(runner) if pid != program), 0)


def guard_waits(pid: int) -> bool:
    try:
        return "poll" in Path(f"/proc/{pid}/wchan").read_text() or not os.readlink(f"/proc/{pid}/fd/0")
    except OSError:
        return os.path.isdir(f"/proc/{pid}/fd") and "0" not in os.listdir(f"/proc/{pid}/fd")


def test_nothing_is_left_of_the_runner_itself(run: Any, tmp_path: Path) -> None:
    done = run("--report", "report", "-c", "import os; print(os.getppid())")
    runner = int(done.stdout)
    eventually(lambda: not any(_parent(pid) == runner for pid in os.listdir("/proc") if pid.isdigit()))
    report = json.loads((tmp_path / "report").read_text())
    assert (report["started"], report["left_over"], report["failed"], report["killed"]) == (1, 0, 0, 0)


def _parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
