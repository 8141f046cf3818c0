"""SharedDict: how it travels, who has it, and who dies in it."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession import FamilyError, Process, SharedDict, SharedList, _native

SOURCE = os.path.dirname(os.path.dirname(procession.__file__))

pytestmark = pytest.mark.usefixtures("no_memory_is_left")

# --- travel ---


def test_it_travels_and_lives_with_its_last_user(ctx: Any, ask: Callable[..., Any]) -> None:
    d: SharedDict[Any, Any] = SharedDict(a=1)

    def change(d: Any) -> Any:
        d["b"] = [d["a"], 2]
        d[(1, 2)] = d.pop("a")
        return dict(d)

    assert ask(ctx, change, d) == {"b": [1, 2], (1, 2): 1} == d


def test_it_lives_on_in_a_child_when_the_maker_dropped_it(ctx: Any) -> None:
    ours, theirs = procession.Pipe()

    def serve(pipe: Any, d: Any) -> None:
        pipe.recv()
        d["x"] = d["x"] + 1
        pipe.send(d)
        pipe.recv()

    process = ctx.Process(target=serve, args=(theirs, SharedDict(x="y" * 3 and 5)))
    process.start()
    gc.collect()
    ours.send(None)
    received = ours.recv()
    assert received == {"x": 6}
    ours.send(None)
    process.join()
    assert received == {"x": 6}
    ours.close()
    theirs.close()


def test_pickles() -> None:
    d = SharedDict(a=1)
    data = pickle.dumps(d)
    one, two = pickle.loads(data), pickle.loads(data)
    assert type(one) is SharedDict
    one["b"] = 2
    assert d == two == {"a": 1, "b": 2}
    del d, one, two
    with pytest.raises(FamilyError, match="gone"):
        pickle.loads(data)
    done = subprocess.run(
        [sys.executable, "-c", f"import pickle, procession; procession.SharedDict(); pickle.loads({data!r})"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert "FamilyError: this object was made in another family of processes" in done.stderr


class Own(SharedDict[str, Any]):
    def double(self) -> int:
        return 2 * int(self["a"])


def test_a_class_of_ones_own() -> None:
    own = Own(a=1)
    own.extra = 5  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(own)).double() == 2


def test_it_holds_another(ask: Callable[..., Any]) -> None:
    outer: SharedDict[str, Any] = SharedDict(inner=SharedDict(a=1), l=SharedList([1]))
    for i in range(3):
        outer["inner"][i] = i
        outer["l"].append(i)
    whole = {"a": 1, 0: 0, 1: 1, 2: 2}
    assert ask(procession.get_context("zygote"), lambda outer: (outer["inner"].copy(), list(outer["l"])), outer) == (
        whole, [1, 0, 1, 2],
    )  # fmt: skip
    assert outer.pop("inner") == whole  # (who takes it out has it alone)
    assert outer["l"] == [1, 0, 1, 2] == outer.popitem()[1]


@pytest.mark.no_leak_guard
def test_a_forks_child_has_it_too() -> None:
    before = _native.commons_facts()["arena_used"]
    d = SharedDict(a=1)
    go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(go[0], 1)
            d["b"] = d["a"] + 1
            pickle.loads(pickle.dumps(d))["c"] = 3
            right = dict(d) == {"a": 1, "b": 2, "c": 3}
            del d
            os._exit(0 if right and _native.commons_facts()["arena_used"] <= before else 1)
        finally:
            os._exit(2)
    del d  # (the child has it alone now)
    os.write(go[1], b".")
    assert os.waitpid(pid, 0)[1] == 0
    for fd in go:
        os.close(fd)


def test_threads_share_a_handle() -> None:
    d: SharedDict[Any, Any] = SharedDict()

    def work(number: int) -> None:
        for i in range(3000):
            d[number, i % 50] = "x" * (i % 300)
            assert set(d[number, i % 50]) <= {"x"}
            if i % 500 == 0:
                list(d.items())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(d) == 200


def test_ctrl_c_is_heard_while_another_is_in_it() -> None:
    code = (
        "import os, signal, threading, procession\n"
        "d = procession.SharedDict({i: 'x' * 100 for i in range(50_000)})\n"
        "def busy(d):\n"
        "    while True: len(d)\n"
        "looping, looks = threading.Event(), 0\n"
        "def stop(d, main):\n"
        "    looping.wait()\n"
        "    os.kill(main, signal.SIGINT)\n"
        "p = procession.Process(target=busy, args=(d,), daemon=True)\n"
        "p.start()\n"
        "threading.Thread(target=stop, args=(d, os.getpid())).start()\n"
        "try:\n"
        "    while True: list(d.items()); looks += 1; looks < 20 or looping.set()\n"
        "except KeyboardInterrupt:\n"
        "    print('heard', len(d))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": SOURCE}
    )
    assert (done.stdout, done.stderr) == ("heard 50000\n", "")


# --- deaths ---


def vandal(d: Any, number: int) -> None:
    for i in range(10**9):
        key = i * 7 % 60
        d[key] = chr(97 + number) * (i * 31 % 900)
        if i % 3 == 0:
            d.pop(i % 60, None)
        if i % 97 == 0:
            d["big"] = chr(97 + number) * 140_000
        if i % 1000 == 999:
            d.clear()
        d.increment("count")
        d.increment(f"own {number}")


def test_a_storm_of_kills() -> None:
    d: SharedDict[Any, Any] = SharedDict()
    end = time.monotonic() + (1 if os.environ.get("PROCESSION_SHORT") else 3)
    kills = 0
    while time.monotonic() < end or kills <= 20:
        processes = [Process(target=vandal, args=(d, number)) for number in range(3)]
        for process in processes:
            process.start()
        time.sleep(0.01 + kills % 7 * 0.003)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        kills += 3
        items = list(d.items())
        assert len(items) == len(d) == len(list(d))
        for key, value in items:
            assert d[key] == value
            assert isinstance(value, int) or len(set(value)) <= 1
        assert d.increment("alive", 1) >= 1
