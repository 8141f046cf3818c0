"""The summary and the JSON report: every figure against a program whose figures are known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

KNOWN = """
import multiprocessing, os, signal, time

def fail():
    os._exit(7)

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def compute():
    while time.process_time() < 0.2:
        pass

def meet(there):
    there.send("up")
    there.recv()

pipes = [multiprocessing.Pipe() for _ in range(3)]
together = [multiprocessing.Process(target=meet, args=(there,)) for here, there in pipes]
for p in together: p.start()
for here, there in pipes: here.recv()
for here, there in pipes: here.send("all are")
for p in together: p.join()
for target in (fail, killed, compute):
    p = multiprocessing.Process(target=target, name=target.__name__)
    p.start()
    p.join()
def stay(there):
    there.send("up")
    time.sleep(3600)

def start_to_stay(name):
    here, there = multiprocessing.Pipe()
    p = multiprocessing.Process(target=stay, args=(there,), name=name)
    p.start()
    here.recv()
    return p

asked = start_to_stay("asked")
asked.terminate()
asked.join()
start_to_stay("orphan")
time.sleep(0.3)
os._exit(5)
"""


def test_every_figure(run: Any, program: Any, tmp_path: Path) -> None:
    done = run("--report", "report", program.script(KNOWN, "known.py"))
    assert done.returncode == 5
    report = json.loads((tmp_path / "report").read_text())
    assert (report["kind"], report["exit_status"], report["signal"]) == ("script", 5, None)
    assert report["started"] == 9
    assert 4 <= report["most_alive"] <= 5
    assert (report["failed"], report["killed"], report["left_over"]) == (2, 1, 1)
    assert ends(report) == {
        ("fail", "failed", 7, None),
        ("known.py", "failed", 5, None),
        ("killed", "killed", -9, "SIGKILL"),
        ("asked", "terminated", -15, "SIGTERM"),
        ("orphan", "left over", -9, "SIGKILL"),
    }
    assert report["running_seconds"] > 0.2
    assert report["blocked_seconds"] > 0.3
    assert report["wall_seconds"] > 0.5
    assert 4_000 < report["peak_kib"] < 1_000_000
    assert done.stderr.splitlines()[0].startswith("procession: 9 processes started, at most ")
    for words in ("fail (pid", "exit code 7", "SIGKILL", "orphan (pid", "peak memory", "2 failed, 1 killed, 1 left over"):
        assert words in done.stderr
    assert "\x1b" not in done.stderr


def ends(report: dict[str, Any]) -> set[tuple[Any, ...]]:
    return {(one["name"], one["end"], one["exit_code"], one["signal"]) for one in report["processes"]}


@pytest.mark.parametrize("number", [15, 9, 34])
def test_the_programs_signal(run: Any, tmp_path: Path, number: int) -> None:
    done = run("--quiet", "--report=report", "-c", f"import os; os.kill(os.getpid(), {number})")
    assert (done.returncode, done.stderr) == (128 + number, "")
    report = json.loads((tmp_path / "report").read_text())
    assert (report["exit_status"], report["killed"], report["failed"]) == (128 + number, 1, 0)
    assert report["signal"] == {15: "SIGTERM", 9: "SIGKILL", 34: "SIGRTMIN"}[number]


def test_left_over_members_are_always_named(run: Any, program: Any, tmp_path: Path) -> None:
    """Whoever is first, the kernel, a zygote or the runner: each left-over process is counted once."""
    path = program.script(
        """
        import multiprocessing, os, time

        def stay(there):
            there.send("up")
            time.sleep(3600)

        for i in range(4):
            here, there = multiprocessing.Pipe()
            multiprocessing.Process(target=stay, args=(there,), name=f"left-{i}").start()
            here.recv()
        os._exit(0)
        """
    )
    for _ in range(8):
        (tmp_path / "report").unlink(missing_ok=True)
        assert run("-q", "--report", "report", path).returncode == 0
        report = json.loads((tmp_path / "report").read_text())
        names = sorted(one["name"] for one in report["processes"] if one["end"] == "left over")
        assert (report["left_over"], names) == (4, [f"left-{i}" for i in range(4)])


def test_a_report_replaces_the_old_one(run: Any, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("x" * 10_000)
    run("-q", "--report", "report", "-c", "1")
    assert json.loads((tmp_path / "report").read_text())["started"] == 1


def test_a_report_to_a_pipe(program: Any) -> None:
    done = program.run("-m", "procession", "run", "-q", "--report", "/dev/stdout", "-c", "import os; os.chdir('/')")
    assert json.loads(done.stdout)["exit_status"] == 0


def test_where_the_report_goes_is_settled_at_the_start(run: Any, tmp_path: Path) -> None:
    run("-q", "--report", "report", "-c", "import os; os.chdir('/')")
    assert os.path.exists(tmp_path / "report")
