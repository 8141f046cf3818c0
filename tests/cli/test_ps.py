"""`procession ps` and `procession tree`, against a family whose members are known."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from programs import NOTE

from procession.testing.watch import eventually

FAMILY = (
    NOTE
    + """
import multiprocessing, subprocess, time

def sleep():
    note("plain", subprocess.Popen(["sleep", "3600"]).pid)
    time.sleep(3600)

def wait():
    p = multiprocessing.Process(target=time.sleep, args=(3600,), name="the-grandchild")
    p.start()
    note("waiter", os.getpid())
    p.join()

def spin():
    note("spinner", os.getpid())
    while True:
        pass

for target in (sleep, wait, spin):
    p = multiprocessing.Process(target=target, name=f"the-{target.__name__}")
    p.start()
note("program", os.getpid())
p.join()
"""
)


@pytest.fixture
def family(start: Any, program: Any, pids: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """The runner of a family, and its members' pids by the names that they note."""
    runner = start("-q", program.script(FAMILY, "family.py"))
    known = pids.wait("plain", "waiter", "spinner", "program")
    yield runner, {name: who.pid for name, who in known.items()}
    runner.terminate()
    runner.communicate(timeout=30)


def see(program: Any, *words: str) -> str:
    done = program.run("-m", "procession", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(seen: dict[str, Any], pid: int) -> dict[int, dict[str, Any]]:
    for family in seen["families"]:
        found = {one["pid"]: one for one in family["processes"]}
        if pid in found:
            return found
    return {}


def test_ps_tells_of_every_member(program: Any, family: Any) -> None:
    runner, pids = family
    last: dict[int, dict[str, Any]] = {}

    def all_wait() -> bool:
        last.clear()
        last.update(ours(json.loads(see(program, "ps", "--json")), runner.pid))
        waits = {one["name"]: one["waits_for"] for one in last.values()}
        if not all(one["memory_kib"] for one in last.values()):
            return False  # one is just ending: a spare that was not needed
        return (waits.get("the-wait"), waits.get("family.py")) == ("join the-grandchild", "join the-spin")

    eventually(all_wait, what="each waits for whom it waits")
    names = {one["name"]: one for one in last.values()}
    assert names["procession run"]["kind"] == "runner"
    assert {one["kind"] for one in last.values()} == {"runner", "guard", "zygote", "spare", "process"}
    assert names["family.py"] | {"pid": pids["program"], "parent": runner.pid, "kind": "process"} == names["family.py"]
    assert names["the-wait"]["parent"] == pids["program"]
    assert names["the-grandchild"]["parent"] == pids["waiter"]
    assert names["the-sleep"]["state"] == names["the-wait"]["state"] == "blocked"
    assert names["the-spin"]["state"] in ("running", "ready")
    assert names["the-wait"]["waits_seconds"] > 0
    for one in last.values():
        assert 100 < one["memory_kib"] < 1_000_000, one
        assert 0 <= one["cpu_seconds"] <= one["age_seconds"] + 0.1 < 60, one
    assert pids["plain"] not in last


def test_ps_as_text_has_no_colours_and_a_line_for_each(program: Any, family: Any) -> None:
    runner, pids = family
    text = see(program, "ps")
    assert "\x1b" not in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert lines["PID"].split() == ["PID", "PARENT", "STATE", "CPU", "MEMORY", "AGE", "NAME", "WAITS", "FOR"]
    assert "the-spin" in lines[str(pids["spinner"])]
    assert f" {runner.pid} " in lines[str(pids["program"])]
    assert str(pids["plain"]) not in lines


def test_tree_draws_members_and_what_they_started(program: Any, family: Any) -> None:
    runner, pids = family
    whole = see(program, "tree")
    part = see(program, "tree", str(runner.pid))
    assert part.startswith(f"{runner.pid} procession run ")
    assert "\x1b" not in whole
    for text in (whole, part):
        depth = {word: line.index(word) for line in text.splitlines() for word in [line.strip("│├└─ ").split(" ")[0]] if word}
        assert depth[str(pids["plain"])] > depth[str(pids["program"])] > depth[str(runner.pid)]
        assert depth[str(pids["waiter"])] == depth[str(pids["spinner"])]
    assert "sleep 3600" in part


def test_tree_as_json_nests(program: Any, family: Any) -> None:
    runner, pids = family
    top = json.loads(see(program, "tree", str(runner.pid), "--json"))
    assert top["pid"] == runner.pid
    program_ = next(one for one in top["children"] if one["pid"] == pids["program"])
    sleeper = next(one for one in program_["children"] if one["name"] == "the-sleep")
    assert [one["pid"] for one in sleeper["children"]] == [pids["plain"]]
    assert sleeper["children"][0]["kind"] == "plain"


def test_looking_changes_nothing(program: Any, family: Any) -> None:
    """Not a byte of the family's shared memory is touched: an idle part of it stays a hole."""
    from procession.observe.families import survey

    runner, _ = family
    member = next(f for f in survey().families if runner.pid in f.members)
    import os

    path = next(
        f"/proc/{runner.pid}/fd/{n}"
        for n in os.listdir(f"/proc/{runner.pid}/fd")
        if os.readlink(f"/proc/{runner.pid}/fd/{n}").startswith("/memfd:procession")
    )
    before = os.stat(path).st_blocks
    for _ in range(3):
        survey()
    assert os.stat(path).st_blocks == before
    assert member.header.started >= 4


def test_zombies_of_other_programs_are_flagged(program: Any) -> None:
    holder = program.start(
        "-c", "import subprocess, sys; p = subprocess.Popen(['true']); print(p.pid, flush=True); input(); p.wait()", stdin=-1
    )
    zombie = int(holder.stdout.readline())
    found: list[dict[str, Any]] = []

    def flagged() -> bool:
        found[:] = [z for z in json.loads(see(program, "ps", "--json"))["zombies"] if z["pid"] == zombie]
        return bool(found)

    eventually(flagged, what="the zombie is seen")
    assert found == [{"pid": zombie, "name": "true", "parent": holder.pid, "parent_name": found[0]["parent_name"]}]
    assert found[0]["parent_name"].startswith("python")
    line = next(line for line in see(program, "ps").splitlines() if line.startswith(f"zombie {zombie} "))
    assert f"{holder.pid} (" in line
    assert "has not waited for it" in line
    holder.communicate("\n", timeout=30)


@pytest.mark.parametrize("pid", ["x", "-1", "0", "1.5", "999999999", "٣"])
def test_a_bad_pid_is_refused(program: Any, pid: str) -> None:
    done = program.run("-m", "procession", "tree", "--", pid)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert pid in done.stderr


def test_a_pipe_that_closes_is_no_error(program: Any) -> None:
    import sys

    command = f"{sys.executable} -m procession tree 1 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=program.env, capture_output=True, text=True, timeout=30)
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
