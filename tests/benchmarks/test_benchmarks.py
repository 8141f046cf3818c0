"""Each benchmark runs alone, measures every rival, and leaves nothing behind. How fast it is, is no test's affair."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import procession

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LIBRARIES = {"procession", "fork", "forkserver", "spawn", "subprocess"}
COMPILER = shutil.which("gcc") or shutil.which("cc")
WITH_LIMITS = LIBRARIES | ({"c_fork"} if COMPILER else set())
MUTEX, HANDED_OVER = ({"c_mutex"}, {"c_futex", "c_spin"}) if COMPILER else (set(), set())
#: Locks that know of their owner's death; multiprocessing's do not, and there is nothing to measure.
SURVIVABLE = {"procession"} if hasattr(procession, "OwnerDiedWarning") else set()
NUMPY = find_spec("numpy") is not None
FIFO, ULTRA = find_spec("faster_fifo") is not None, find_spec("UltraDict") is not None
#: What shares: as far as it is ours.
OWN_DICT, OWN_ARRAY = hasattr(procession, "SharedDict"), hasattr(procession, "empty")
OWN_SEGMENT = any((Path(procession.__file__).parent / path).exists() for path in ("shared_memory.py", "share/shared_memory.py"))
COPYING = {"memcpy"} if COMPILER else set()
#: Pools: ours may be multiprocessing's over our processes, which does not survive a worker's death.
OWN_POOL, OWN_ROOM = hasattr(procession, "Pool"), (Path(procession.__file__).parent / "pool").is_dir()
EXECUTOR = {"procession ProcessPoolExecutor"} if hasattr(procession, "ProcessPoolExecutor") else set()
OWN_POOLS = OWN_POOL + len(EXECUTOR)
POOLS = {"mp_pool", "futures"} | EXECUTOR | ({"procession"} if OWN_POOL else set())
AWAITED, OWN_QUEUES = {"procession"}, hasattr(procession, "DispatchQueue")


def with_ours(there: bool) -> set[str]:
    return {"procession"} if there else set()


#: Who must have been measured, and how many demanded figures are compared, in a quick run.
EXPECTED = {
    "start_join": (WITH_LIMITS, 2 if find_spec("numpy") else 1),
    "first_line": (WITH_LIMITS, 2),
    "burst": (WITH_LIMITS, 2),
    "kill_join": (WITH_LIMITS, 1),
    "memory": (LIBRARIES, 3),
    "import_time": ({"procession", "import multiprocessing"}, 1),
    "cycles": ({"procession", "fork"}, 6),
    "uncontended": ({"procession", "fork"} | MUTEX, 7),
    "contended": ({"procession", "fork"} | MUTEX, 2),
    "handover": ({"procession", "fork"} | HANDED_OVER, 3),
    "lock_death": (SURVIVABLE | MUTEX, 2),
    "many_locks": ({"procession", "fork"}, 3),
    "messages": ({"procession", "procession SimpleQueue", "mp", "mp_simple", "pickle"} | COPYING, 2 + FIFO),
    "round_trips": ({"procession", "mp", "mp_simple"} | HANDED_OVER, 4),
    "counter": ({"procession", "mp"}, 2),
    "dictionaries": ({"mp", "plain_dict"} | with_ours(OWN_DICT), (2 + 2 * ULTRA) * OWN_DICT),
    "arrays": ({"procession", "mp", "mp_pipe", "mp_named"} | COPYING if NUMPY else set(), NUMPY * (1 + OWN_ARRAY)),
    "array_memory": ({"mp_named"} | with_ours(OWN_ARRAY) if NUMPY else set(), int(NUMPY and OWN_ARRAY)),
    "pool_noop": (POOLS | {"pickle"}, 2 * OWN_POOL),
    "pool_chunks": (POOLS, OWN_POOL),
    "pool_stream": (POOLS, OWN_POOL),
    "pool_latency": (POOLS | HANDED_OVER, 2 * OWN_POOLS),
    "pool_bytes": (POOLS | COPYING, OWN_POOL),
    "pool_arrays": (POOLS - EXECUTOR | COPYING if NUMPY else set(), NUMPY * 2 * OWN_POOL),
    "pool_opening": (POOLS, 2 * OWN_POOLS),
    "pool_death": ({"futures"} | EXECUTOR | with_ours(OWN_ROOM), len(EXECUTOR) + OWN_ROOM),
    "pool_queued": (POOLS, 2 * OWN_POOLS),
    "await_task": (AWAITED | {"procession run_in_executor", "futures_by_loop"}, 3),
    "await_process": (AWAITED | {"procession async def", "fork", "exec_true", "exec_python"}, 2),
    "await_item": (AWAITED | {"mp"}, 4),
    "await_many": (AWAITED | {"mp_threads", "loop_future"}, 3),
    "dispatch": ({"futures", "mp_pool"} | EXECUTOR | with_ours(OWN_QUEUES), 3 * OWN_QUEUES),
    "segments": ({"mp"} | with_ours(OWN_SEGMENT), 0),
}

pytestmark = pytest.mark.no_leak_guard  # everything runs in other processes, which we look for ourselves


@pytest.fixture
def tag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A mark in the environment by which the processes of a benchmark are found, wherever they hang."""
    mark = f"PROCESSION_BENCHMARK_TEST={os.getpid()}.{time.monotonic_ns()}"
    monkeypatch.setenv(*mark.split("="))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a killed driver cannot remove what it has put there
    monkeypatch.setenv("PYTHONPATH", str(Path(procession.__file__).parents[1]))
    return mark


def marked(tag: str) -> list[str]:
    """The command lines of the living processes with `tag` in their environment, without our own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                if tag.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has just ended
                continue
    return found


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


#: Those that stand for the others, with PROCESSION_SHORT=1 in the environment: each of the programs that are measured, and each
#: of the parts.
SHORT = ("first_line", "kill_join", "import_time", "uncontended", "lock_death", "round_trips", "segments", "pool_noop",
         "pool_opening", "pool_death", "await_item", "await_many")  # fmt: skip


@pytest.mark.parametrize("name", SHORT if os.environ.get("PROCESSION_SHORT") else EXPECTED)
def test_each_file_runs_alone(name: str, tag: str, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    arguments = ["--quick", "--rounds", "1", "--seed", "7", "--json", str(result)]
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 7")
    (answer,) = json.loads(result.read_text())["answers"]
    rivals, goals = EXPECTED[name]
    assert rivals <= {series["rival"] for series in answer["series"]}
    assert len(answer["goals"]) == goals
    assert all(goal["what"] in done.stdout for goal in answer["goals"])
    check_samples(answer["series"])
    assert eventually(lambda: not marked(tag)), marked(tag)


def check_samples(all_series: list[dict[str, Any]]) -> None:
    for series in all_series:
        samples, (low, high) = series["samples"], series["quartiles"]
        can_be_none = ("helper processes", "shared with", "descriptors that they add", "mappings that they add",
                       "the first Lock", "private memory that the four", "above the same family",
                       "per task that waits", "memory of each", "threads that they add")  # fmt: skip
        nothing = any(what in series["scenario"] for what in can_be_none)
        assert samples, series
        assert all(sample > 0 or (nothing and sample == 0) for sample in samples), series
        assert low <= series["median"] <= high, series


def test_nothing_outlives_a_killed_driver(tag: str) -> None:
    command = [sys.executable, str(BENCHMARKS / "first_line.py"), "--rounds", "100000"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: sum("parent.py" in line for line in marked(tag)) >= len(LIBRARIES), 60)
    finally:
        driver.kill()
        driver.wait()
    assert eventually(lambda: not marked(tag), 30), marked(tag)


def test_a_failing_rival_is_an_error_and_no_sample(tag: str) -> None:
    code = (
        "import harness\n"
        "with harness.Parent('fork') as parent:\n"
        "    try: parent.ask('start_join', target='no such target')\n"
        "    except RuntimeError as error: print('said', 'no such target' in str(error))\n"
        "    print(len(parent.ask('start_join', times=2)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["said", "True", "2"], done.stderr
    assert eventually(lambda: not marked(tag)), marked(tag)


def test_a_lock_that_dies_with_its_holder_is_an_error_and_no_sample(tag: str) -> None:
    code = (
        "import harness\n"
        "with harness.Parent('fork', program='sync_parent.py') as parent:\n"
        "    try: parent.ask('death', patience=0.2)\n"
        "    except RuntimeError as error: print('said', 'has not come to the waiter' in str(error))\n"
        "    print(len(parent.ask('pairs', kind='Lock', way='with', count=10)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["said", "True", "1"], done.stderr
    assert eventually(lambda: not marked(tag)), marked(tag)


def test_what_a_rival_has_not_is_left_out_and_said(tag: str) -> None:
    code = (
        "import answer, harness, share_rivals\n"
        "found = answer.Answer('name', 'question')\n"
        "with harness.Parent('fork', program='share_parent.py') as parent:\n"
        "    parent.ask = lambda do, what: 'not there yet'\n"
        "    print(len(harness._those_that_have(found, 'scenario', [parent], 'dict')))\n"
        "print(*found.notes)\n"
        "share_rivals.FasterFifo.requires = 'nothing_of_that_name'\n"
        "print(share_rivals.make_library('faster_fifo').lacks('queue'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    said = ["0", "scenario: left out is multiprocessing fork: not there yet.", "nothing_of_that_name is not installed"]
    assert done.stdout.splitlines() == said, done.stderr
    assert eventually(lambda: not marked(tag)), marked(tag)


def test_a_message_that_is_lost_is_an_error_and_no_sample(tag: str) -> None:
    code = (
        "import share_measuring, share_sides\n"
        "class Forgetful(list):\n"
        "    def put(self, message): self.append(message[:1])\n"
        "    def get(self): return self.pop()\n"
        "queue = Forgetful()\n"
        "try: share_measuring._to_and_fro(queue.put, queue.get, (1, 'text', 1.5), 3)\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    assert done.stdout == "what came back is not what was sent\n", done.stderr


def test_an_await_that_gives_something_else_is_an_error_and_no_sample(tag: str) -> None:
    code = (
        "import await_lying, await_measuring\n"
        "async def task(thing): return thing + 1\n"
        "loop = await_measuring.Loop('loop_future')\n"
        "loop._awaiting.task = task\n"
        "for call in (loop.tasks, loop.together, lambda count: await_lying._check([1, 0], 0)):\n"
        "    try: call(5)\n"
        "    except RuntimeError as error: print(error)\n"
        "loop.end()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    said = ["the result is 1, not 0", "of 5 results some are wrong: [1, 2, 3, 4, 5]", "of 2 awaits 1 have ended wrongly: 0"]
    assert done.stdout.splitlines() == said, done.stderr


def test_series_compare_by_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from answer import Answer, Series
    from report import as_text, worse

    ours = Series("s", "procession", "µs", [1.0, 2.0, 9.0])
    fork = Series("s", "fork", "µs", [40.0])
    spawn = Series("s", "spawn", "µs", [1.0])
    answer = Answer("name", "question", [ours, fork, spawn])
    answer.ratio_goal("start", "s", "fork", 10)
    answer.ratio_goal("start", "s", "spawn", 10)
    assert ours.times_better(fork) == 20
    assert Series("r", "fork", "a second", [5.0], more_is_better=True).times_better(
        Series("r", "spawn", "a second", [2.0], more_is_better=True)
    ) == 2.5  # fmt: skip
    assert [(goal.reached, goal.met) for goal in answer.goals] == [("20.0 times", True), ("0.5 times", False)]
    assert len(worse(answer)) == 1
    assert "multiprocessing spawn" in worse(answer)[0]
    assert "20.0 × better" in as_text(answer)
    assert "2.0 × WORSE" in as_text(answer)
