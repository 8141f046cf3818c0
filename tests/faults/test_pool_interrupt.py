"""Ctrl-C, wherever the program waits for its pool, ends it at once, with one traceback; and exits are bounded."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest

from procession.testing import watch

BOUND = 5.0  # seconds; it takes a tenth where this was written

HEAD = '''
import sys, time
from procession.pool import Pool, ProcessPoolExecutor
def nap(seconds):
    time.sleep(seconds)
    return seconds
def ready():
    """When all workers are up: only then are they deaf to Ctrl-C."""
    from procession.pool.forks import engines
    for engine in list(engines):
        while not all(member.serving for member in list(engine.crew.members.values())):
            time.sleep(0.001)
    print("ready", flush=True)
'''

#: Where the main thread is when it comes. In each, some task would run for an hour.
PLACES = {
    "result": "p = ProcessPoolExecutor(2); f = p.submit(nap, 3600); ready(); f.result()",
    "result in a with": "with ProcessPoolExecutor(2) as p: f = p.submit(nap, 3600); ready(); f.result()",
    "as_completed": "import concurrent.futures as c; p = ProcessPoolExecutor(2)\n"
                    "f = p.submit(nap, 3600); ready(); list(c.as_completed([f]))",
    "executor.map": "with ProcessPoolExecutor(2) as p: it = p.map(nap, [3600] * 9); ready(); list(it)",
    "shutdown": "p = ProcessPoolExecutor(2); f = p.submit(nap, 3600); ready(); p.shutdown()",
    "the end of a with": "with ProcessPoolExecutor(2) as p: f = p.submit(nap, 3600); ready()",
    "apply": "p = Pool(2); ready(); p.apply(nap, (3600,))",
    "apply in a with": "with Pool(2) as p: ready(); p.apply(nap, (3600,))",
    "map": "with Pool(2) as p: ready(); p.map(nap, [3600] * 9)",
    "map without with": "p = Pool(2); ready(); p.map(nap, [3600] * 9)",
    "imap": "with Pool(2) as p: it = p.imap(nap, [3600] * 9); ready(); next(it)",
    "imap of a generator": "with Pool(2) as p: it = p.imap(nap, iter(int, 1)); next(it); ready(); time.sleep(0.1); sum(it)",
    "join": "p = Pool(2); r = p.apply_async(nap, (3600,)); p.close(); ready(); p.join()",
    "a with's own code": "with ProcessPoolExecutor(2) as p: f = p.submit(nap, 3600); ready(); time.sleep(3600)",
    "quick tasks": "with Pool(2) as p: ready(); p.map(nap, [0] * 10**7, 1)",
    "quick futures": "with ProcessPoolExecutor(2) as p:\n  f = [p.submit(nap, 0) for i in range(10**3)]; ready()\n"
                     "  while 1: [g.result() for g in [p.submit(nap, 0) for i in range(500)]]",
    "quick executor.map": "with ProcessPoolExecutor(2) as p: it = p.map(nap, [0] * 10**7); ready(); sum(it)",
    "quick imap_unordered": "with Pool(2) as p: ready(); sum(p.imap_unordered(nap, [0] * 10**7))",
}  # fmt: skip


def interrupted(program: Any, code: str) -> tuple[float, int, str]:
    """How long it took until it was gone, with all of its family; its status, its standard error. SIGINT goes to the group, as
    a terminal sends it, until it has been seen (one that comes between Python's last look at its signals and a call that sleeps
    is not)."""
    running = program.start(program.script(HEAD + code), start_new_session=True)
    assert running.stdout.readline() == "ready\n", running.stderr.read()
    family = watch.descendants_of(running.pid)
    began = time.monotonic()
    err = ""
    while time.monotonic() - began < 2 * BOUND:
        os.killpg(running.pid, signal.SIGINT)
        try:
            err = running.communicate(timeout=1)[1]
            break
        except subprocess.TimeoutExpired:
            continue
    took = time.monotonic() - began
    assert running.poll() is not None, f"it does not end; {err}"
    watch.wait_gone(family, 2)
    return took, running.returncode, err


@pytest.mark.parametrize("place", PLACES)
def test_control_c(program: Any, place: str, record_property: Any) -> None:
    took, status, err = interrupted(program, PLACES[place])
    print(f"{place}: {took:.3f} s")
    record_property("seconds", took)
    assert took < BOUND
    assert status == -signal.SIGINT, err
    own, _, left_open = err.partition("Exception ignored in: <function Pool.__del__")
    assert left_open.count("Traceback") == left_open.count("ResourceWarning: unclosed"), err  # (as in the standard library)
    assert own.count("Traceback (most recent call last)") == 1, err
    assert own.rstrip().endswith("KeyboardInterrupt"), err


def test_control_c_while_the_interpreter_exits(program: Any) -> None:
    """It waits for what runs then."""
    code = "import threading; p = ProcessPoolExecutor(1); f = p.submit(nap, 3600)\nimport atexit\nready()"
    took, _, err = interrupted(program, code)
    print(f"{took:.3f} s")
    assert took < BOUND, err
    assert err.count("KeyboardInterrupt") <= 1, err


def test_an_exit_with_running_tasks_is_bounded_and_says_what_it_ended(program: Any) -> None:
    running = program.start(program.script(HEAD + "p = ProcessPoolExecutor(2, exit_timeout=0.3); f = p.submit(nap, 3600)\n"
                                                  "while not any(m.in_hand() for m in p._engine.crew.members.values()): pass\n"
                                                  "ready(); sys.stdin.readline()"), stdin=subprocess.PIPE)  # fmt: skip
    assert running.stdout.readline() == "ready\n"
    family = watch.descendants_of(running.pid)
    began = time.monotonic()
    _, err = running.communicate("go\n", timeout=20)
    took = time.monotonic() - began
    print(f"{took:.3f} s")
    assert running.returncode == 0, err
    assert 0.3 <= took < BOUND
    assert "its pool is not: ended 1 running tasks, of ProcessPoolExecutor-worker-1 (pid" in err
    watch.wait_gone(family, 2)


def test_what_an_interrupt_cuts_short_goes_on_when_it_is_caught(program: Any) -> None:
    """Every task ends, whatever was being done with its outcome when Ctrl-C came: fifty times in one program."""
    done = program.run_script(
        HEAD
        + """
import os, random, signal, threading
pool = ProcessPoolExecutor(2)
seen = 0
chance = random.Random(1)
for round in range(50):
    futures = [pool.submit(nap, 0) for i in range(400)]
    alarm = threading.Timer(0.015 * chance.random(), os.kill, (os.getpid(), signal.SIGINT))
    try:
        alarm.start()
        for future in futures: future.result(20)
        alarm.join(); time.sleep(0.1)
    except KeyboardInterrupt:
        seen += 1
    assert [future.result(20) for future in futures] == [0] * 400
pool.shutdown()
print(seen)
""",
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 50
