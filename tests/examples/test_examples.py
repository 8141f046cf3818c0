"""Each example says what its first line promises, run with `python` and with `procession run`."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(run: Run, name: str, *arguments: str) -> list[str]:
    """The lines on standard output of an example that must end well and say nothing on standard error."""
    result = run(name, *arguments)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout.splitlines()


def test_two_ways(run: Run) -> None:
    assert printed(run, "two_ways") == [
        "a function greets Ada!",
        "a Greeter greets Grace from a process of its own: True",
        "a Greeter greets nobody from a process of its own: False",
        "a lambda will do, too.",
    ]


def test_identity(run: Run) -> None:
    text = "\n".join(printed(run, "identity"))
    parent = int(re.search(r"I am MainProcess, process (\d+)", text)[1])  # type: ignore[index]
    child = int(re.search(r"I started process (\d+)", text)[1])  # type: ignore[index]
    assert f"child:  I am Process-1, process {child}; my parent is MainProcess, process {parent}" in text
    assert "child:  my parent is who started me: True" in text
    assert "child:  my parent is alive: True" in text
    assert "before start the child's number is None" in text
    assert "the numbers differ: True" in text
    assert child != parent


def test_start_then_join(run: Run) -> None:
    lines = printed(run, "start_then_join")
    middle = lines.index("join in the loop:")
    together, in_turn = lines[1:middle], lines[middle + 1 :]
    assert sorted(together[:3]) == [f"  {n} begins" for n in (1, 2, 3)]
    assert sorted(together[3:6]) == [f"  {n} ends, met the others" for n in (1, 2, 3)]
    assert together[6:] == ["all three have ended"]
    expected = [line for n in (1, 2, 3) for line in (f"  {n} begins", f"  {n} ends, was alone")]
    assert in_turn == [*expected, "all three have ended"]


def test_isolation(run: Run) -> None:
    assert printed(run, "isolation") == [
        *["a child has  99 ['parent', 'child'] ['argument', 'child']"] * 3,
        "the parent has 100 ['parent'] ['argument']",
        "What a child has to say, it must send.",
    ]


def test_terminate(run: Run) -> None:
    assert printed(run, "terminate") == [
        "obedient: before start alive is False",
        "obedient: after start alive is True",
        "obedient: after terminate() and join() alive is False, exit code -15",
        "stubborn: before start alive is False",
        "stubborn: after start alive is True",
        "stubborn: after terminate() alive is True",
        "stubborn: after terminate(grace=0.2) and join() alive is False, exit code -9",
    ]


def test_exit_codes(run: Run) -> None:
    result = run("exit_codes")
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["returns", "0", "all", "well"],
        ["raises", "1", "failed"],
        ["sys.exit()", "0", "all", "well"],
        ["sys.exit(3)", "3", "failed"],
        ["sys.exit('text')", "1", "failed"],
        ["os._exit(4)", "4", "failed"],
        ["SIGTERM", "-15", "ended", "by", "SIGTERM"],
        ["SIGKILL", "-9", "ended", "by", "SIGKILL"],
        ["A", "process", "without", "a", "name", "gets", "one:", "Process-9"],
        ["and", "can", "be", "given", "another:", "renamed"],
    ]
    assert "Process raises:\nTraceback (most recent call last):" in result.stderr
    assert "ValueError: this goes to standard error, with a traceback" in result.stderr
    assert "this goes to standard error, too" in result.stderr


def test_daemon(run: Run) -> None:
    assert printed(run, "daemon") == [
        "shop: lamp.daemon is True; lights that are on: 2",
        "shop: I have no more to do",
        "cleaner: lights that are on: 0",
        "the shop is closed, exit code 0",
    ]


def test_zombie(run: Run) -> None:
    assert printed(run, "zombie") == [
        "the plain child has ended: Z",
        "procession's child has ended: gone",
        "later: the plain child is Z and procession's is gone",
        "after waitpid() the plain child is gone, its exit code was 7",
        "nothing was lost by procession's haste: its exit code was 7",
    ]


def test_orphan(run: Run) -> None:
    assert printed(run, "orphan") == [
        "alive: {'child': True, 'grandchild': True, 'its subprocess': True}",
        "the parent was ended by signal 9",
        "alive: {'child': False, 'grandchild': False, 'its subprocess': False}",
    ]


def test_reading_input(run: Run) -> None:
    assert printed(run, "reading_input") == [
        "EOFError: EOF when reading a line",
        "Ada will be 37 next year",
        "Grace will be 86 next year",
        "lines read: 3",
    ]


def times_in(line: str) -> tuple[float, float, float]:
    found = re.fullmatch(r"seconds running ([\d.]+), ready ([\d.]+), blocked ([\d.]+)", line)
    assert found, line
    return float(found[1]), float(found[2]), float(found[3])


def test_states(run: Run) -> None:
    lines = printed(run, "states")
    assert [line.split()[-1] for line in lines[:5]] == ["initial", "running", "blocked", "blocked", "exited"]
    running, _, blocked = times_in(lines[5])
    assert running > 0, "it has computed"
    assert blocked > 0.3, "it has slept"
    rivals = [times_in(line) for line in lines[7:10]]
    assert all(running >= 0.15 for running, _, _ in rivals), "each has computed for 0.2 s"
    assert sum(ready for _, ready, _ in rivals) > 0.2, "three on one processor have to wait for it"


def test_detached(run: Run) -> None:
    assert printed(run, "detached") == [
        "the server says 'I serve'; its parent is the founder: True",
        "the founder has ended, exit code 0",
        "the server says 'you asked: are you there?'; its parent is still the founder: False",
    ]


def test_waiting(run: Run) -> None:
    assert [line for line in printed(run, "waiting") if line.startswith("  ")] == [
        "  join(0): exit code None",
        "  join(): exit code 0",
        "  wait() with a time limit: 0 ended, 3 not",
        "  wait(): [('worker 0', 0), ('worker 1', 1), ('worker 2', 2)]",
        "  callback: exit code 0",
        "  await: exit codes [0, 1, 2]",
    ]


def test_counter(run: Run) -> None:
    assert printed(run, "counter") == ["without a lock, 1 + 1 is 1", "with a lock, 4 times 1000 is 4000"]


def test_owner_death(run: Run) -> None:
    assert printed(run, "owner_death") == [
        "a lock as it is by default warns:",
        "the lock's holder is clerk",
        "  told of the death of clerk",
        "  accounts: 400 600",
        "a lock that was asked to raises:",
        "the lock's holder is clerk",
        "  refused, because of the death of clerk",
        "  accounts: 400 600",
    ]


def test_shared_dict(run: Run) -> None:
    assert printed(run, "shared_dict") == [
        "[('the', 4), ('mat', 3), ('a', 2)]",
        "killed in it, and all is whole: [1, 2] 100000",
        "a value is a copy: [1, 2] until it is assigned: [1, 2, 3]",
        "1, 1.0 and True are one key, as in a dict: one one",
        "cannot pickle '_thread.lock' object - and it is not there: False",
    ]


def test_permits(run: Run) -> None:
    assert printed(run, "permits") == [
        "seated: ['Ada', 'Bob'] free seats: 0",
        "who has them: [('Ada', 1), ('Bob', 1)]",
        "Eve is seated: False",
        "Ada was killed; seated now: Eve",
        "all have gone, free seats: 2",
    ]


def test_kitchen(run: Run) -> None:
    assert printed(run, "kitchen") == ["plates eaten: 40 left: 0", "never more than 3 on the counter: True"]


def test_meeting(run: Run) -> None:
    assert printed(run, "meeting") == [
        *[f"stage {stage}: {3 * stage} arrivals" for stage in (1, 2, 3)],
        *["the barrier is broken"] * 2,
    ]


def test_awaited(run: Run) -> None:
    assert printed(run, "awaited") == [
        "5 tasks and 2 processes, 100 each: 700",
        "not set within 0.05 s: False",
        "set by another process: True",
        "cancelled, and nobody waits: ()",
        "free again: True",
    ]


def test_reading_room(run: Run) -> None:
    assert printed(run, "reading_room") == [
        "['reading together', 'reading together', 'reading together']",
        "a writer waits for us: True",
        "may another read meanwhile? no: it came after a writer that waits",
        "writing; readers: 0",
    ]


def test_philosophers(run: Run) -> None:
    assert printed(run, "philosophers") == [
        "meals: [20, 20, 20, 20, 20]",
        "not all within the time; taken: 1 (our own)",
    ]


def test_queue_tasks(run: Run) -> None:
    assert printed(run, "queue_tasks") == [
        "tasks in the queue: 1000",
        "the victim had one task: True left: 999",
        "results: 999 each once: 999",
        "all done at once: False",
        "served soup",
        "served bread",
        "all done: True",
    ]


def test_queue_redeliver(run: Run) -> None:
    assert printed(run, "queue_redeliver") == [
        "killed by signal 9 and still in the queue: 1",
        "whole and alive",
        "clumsy did [0, 1, 2] missing: [3, 4]",
        "careful did [3, 4] missing: []",
    ]


def test_pipe(run: Run) -> None:
    assert printed(run, "pipe") == [
        "parent: 21 -> 42",
        "parent: ab -> abab",
        "parent: [1, 2] -> [1, 2, 1, 2]",
        "parent: 2000000 bytes came back",
        "child:  no more questions",
        "parent: a whole message",
        "parent: there is more: True",
        "parent: half a message is none, and the other side is gone",
    ]


@cache
def count_in_one_process() -> tuple[int, int]:
    """Files and words of the standard library, counted in another way than the example does."""
    files = words = 0
    for path in Path(sysconfig.get_path("stdlib")).rglob("*.py"):
        if "site-packages" in path.parts or not path.is_file():
            continue
        text = path.read_bytes().decode(errors="replace").lower()
        words += len("".join(c if c.isalpha() or (c.isnumeric() and not c.isdecimal()) else " " for c in text).split())
        files += 1
    return files, words


@pytest.mark.parametrize(("run", "rows"), [("python", 20), ("procession", 3)], indirect=["run"])
def test_wordcount(run: Run, rows: int) -> None:
    lines = printed(run, "wordcount", *([] if rows == 20 else [str(rows)]))
    table = [line.split() for line in lines[:-1]]
    assert [int(place) for place, _, _ in table] == list(range(1, rows + 1))
    counts = [int(count.replace(",", "")) for _, count, _ in table]
    assert counts == sorted(counts, reverse=True)
    assert {word for _, _, word in table} >= {"self", "def"}
    assert len({line.rindex(" ") for line in lines[:-1]}) == 1, "the columns are not in line"
    words, different, files, processes = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", lines[-1]))
    assert counts[0] <= words
    assert different > rows
    assert processes >= 1
    assert (files, words) == count_in_one_process()


def test_examples_are_short_and_unguarded() -> None:
    """Under 60 lines each, every one tested here, and none with the guard that scripts need elsewhere."""
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) < 60, path.name
        assert "__main__" not in text, path.name
        assert path.stem in tested, f"{path.name} has no test"


def test_values(run: Run) -> None:
    assert printed(run, "values") == [
        "counted to 4000",
        "squares: [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0]",
        "refused: Array length must be >= 0, not -1",
    ]


def test_shared_memory(run: Run) -> None:
    assert printed(run, "shared_memory") == [
        "hello, program",
        "nobody finds it any more",
        "who has it still reads hello",
        "[1, 2.5, 'three', None]",
    ]


@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy is not installed")
def test_arrays(run: Run) -> None:
    assert printed(run, "arrays") == [
        "a line became [1. 1. 1.]",
        "shared: [[0, 1, 2], [3, 4, 5]] True",
        "given back: True",
    ]


def test_manager(run: Run) -> None:
    lines = printed(run, "manager")
    assert lines[0] == "['Ada', 'Edsger', 'Grace'] [1, 2, 3]"
    assert re.fullmatch(r"the manager is gone: \w+Error", lines[1])


def test_pool_map(run: Run) -> None:
    assert printed(run, "pool_map") == [
        "map: [0, 1, 4, 9, 16, 25, 36, 49]",
        "starmap: [8, 9]",
        "imap_unordered, as they come: [1, 2, 3] and the first one last: [0]",
        "imap, in order: 0 1 (no 2, please) 3",
        "of an endless source: [0, 1, 4, 9] - read too much: False",
        "without a word about chunks: True",
        "the last that the progress function was told: (1000, 1000)",
    ]


def test_four_figures(run: Run) -> None:
    """What holds of the figures however late a busy machine is."""
    lines = printed(run, "four_figures")
    figures = [lines[at : at + 6] for at in range(2, len(lines), 6)]
    assert [figure[0].partition(":")[0] for figure in figures] == [
        "serial, synchronous", "serial, asynchronous", "concurrent, synchronous", "concurrent, asynchronous",
    ]  # fmt: skip
    together = [int(figure[5].rpartition(" ")[2]) for figure in figures]
    assert together[:3] == [0, 0, 0], "one after another, but for those that are handed on all at once"
    assert together[3] > 0
    for title, main, *tasks, _ in figures:
        signs = [task.removeprefix(f"  task {number} ") for number, task in enumerate(tasks, 1)]
        assert all("#" in sign for sign in signs), signs
        assert main.startswith("  main   =") == ("asynchronous" in title), "it goes on, or waits from the beginning"
        starts = [sign.index("#") for sign in signs]
        assert title.startswith("concurrent, asynchronous") or starts == sorted(starts)
    assert all("....." in figures[1][task] for task in (3, 4)), "the others wait for the first"


def test_canteen(run: Run) -> None:
    assert [line for line in printed(run, "canteen") if line.startswith("  ")] == [
        "  Ada has hot soup",
        "  Bob has hot bread and has read meanwhile: True",
        "  Eve is called for hot pie",
        "  Kay is called for hot tea",
        "  Joe plays",
        "  Joe is called for hot stew",
        "  at a table, in an event loop, each with a number: ['hot rice', 'hot fish']",
    ]


def test_pool_callbacks(run: Run) -> None:
    assert printed(run, "pool_callbacks") == [
        "apply waits, and returns: hot soup",
        "apply_async returns at once; ready: False",
        "not ready within 10 ms; we do something else",
        "get waits: hot bread - ready: True - successful: True",
        "the callback was told, in a thread of its own: [('hot bread', True)]",
        "error_callback: ValueError('the stew has burnt') - successful: False",
        "in spite of its callback: hot pie",
        "reported: ['dropped the hot pie']",
    ]


def test_pool_timeout(run: Run) -> None:
    lines = printed(run, "pool_timeout")
    late = "was not done within 0.1 s and was stopped"
    assert lines[1:4] == [
        f"TaskTimeout, by exception: the task obedient {late}",
        f"TaskTimeout, by SIGKILL: the task the stubborn one {late}, with its worker, by SIGKILL",
        f"TaskTimeout, by exception: the task tidy {late}",
    ]
    assert lines[:1] + lines[4:] == [
        "None",
        "it has tidied up: True",
        "a running task is cancelled: True True",
        "the neighbours: [1, 2, 4, 8, 16]",
        "and the pool goes on: 1024",
    ]


def test_pool_retry(run: Run) -> None:
    assert printed(run, "pool_retry") == [
        "not tried again: [0, 1, 4, 'SIGKILL in work', 16, 25]",
        "tried again:     [0, 1, 4, 9, 16, 25]",
        "attempts: 3",
        "the worker (pid ...) ended with exit code 7 while it ran one that leaves, in the second attempt",
        "exit code 7 after 2 attempts",
        "in a stream: [0, 1, 4, None, 16, 25]",
    ]


def test_scope(run: Run) -> None:
    assert printed(run, "scope") == [
        "results: 9 16",
        "scope kitchen failed: the soup is burnt; helpers ended: [True, True, True]",
        "late: ('the slow one',)",
        "cancelled: True shielded: 25",
        "scope dining room failed: the soup is burnt",
    ]


def test_supervisor(run: Run) -> None:
    assert printed(run, "supervisor") == [
        "started anew: ['first 0', 'second 1', 'third 1']",
        "stopped: True True True",
        "three after 2 restarts",
        "supervisor well: fail was started anew 2 times, and failed with no water",
    ]


def test_pool_state(run: Run) -> None:
    assert printed(run, "pool_state") == [
        "['answer 0', 'answer 1', 'answer 2', 'answer 3']",
        "worker: [1, 2] tasks: 4",
        "['worker 1 is connected', 'worker 2 is connected']",
        "here is no worker: None",
        "each does two tasks, then another comes: [2, 2, 2]",
    ]


def test_executor_async(run: Run) -> None:
    assert printed(run, "executor_async") == [
        "awaited: 1 - in another process: True",
        "run_in_executor: 1024",
        "gather: [1, 2, 4, 8, 16]",
        "cancelled, and the task has stopped: True",
        "wait_for gave up, and nothing goes on behind it",
        "the pool is free: True",
    ]


def test_nested_pools(run: Run) -> None:
    assert printed(run, "nested_pools") == [
        "sums: [285, 328350, 332833500]",
        "workers of each inner pool: {1}",
        "threads of a worker: {'1'}",
        "killed with its inner pool: SIGKILL",
        "workers of the inner pool that are left: 0",
    ]


def test_pool_stdlib(run: Run) -> None:
    result = run("pool_stdlib", "120")
    assert result.returncode == 0, result.stderr
    late, parsed, again, nodes = result.stdout.splitlines()
    assert late == "endless.py: the task parse was not done within 3 s and was stopped"
    assert (parsed, again) == ("120 of 120 files parsed; not parsed: {}", "1 file needed a second attempt")
    assert re.match(r"[\d,]+ nodes; most often Load \([\d,]+\)", nodes)
    assert "121/121" in result.stderr, "the bar has come to its end"
