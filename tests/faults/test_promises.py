"""No zombie and no orphan, with real processes and real SIGKILL."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import procession
from procession.process.nursery import nursery
from procession.testing import leaks, watch
from procession.testing.saboteurs import hold_the_gil, sleep_for_ever
from procession.testing.watch import Identity, eventually, identity, is_running, is_zombie, wait_gone

STORM = Path(__file__).parents[2] / "scripts" / "storm"
SHORT = bool(os.environ.get("PROCESSION_SHORT"))


# --- no zombie ---


def die_now(ctx: Any) -> Identity:
    """A child that ends as soon as the descriptor's other end closes; nobody joins it."""
    process = ctx.Process(target=sleep_for_ever)
    process.start()
    who = identity(process.pid)
    assert who is not None
    process.kill()
    return who


def gone(who: Identity) -> bool:
    return identity(who.pid) != who


def test_a_parent_that_never_joins(ctx: Any) -> None:
    who = die_now(ctx)
    eventually(lambda: gone(who), 2, "reaped")


def test_a_parent_that_sleeps(program: Any) -> None:
    """From outside: the child is reaped while its parent sleeps."""
    parent = program.start("-c", """if 1:
        import procession, time
        p = procession.Process(target=time.sleep, args=(0.3,)); p.start()
        print(p.pid, flush=True)
        time.sleep(60)""")
    who = identity(int(parent.stdout.readline()))
    assert who is not None
    eventually(lambda: not is_running(who), 10)
    eventually(lambda: not is_zombie(who), 1)
    assert parent.poll() is None


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_a_parent_that_computes_in_c_with_the_gil_held(program: Any, method: str) -> None:
    parent = program.start("-c", f"""if 1:
        import procession, time
        from procession.testing.saboteurs import hold_the_gil, sleep_for_ever
        p = procession.get_context({method!r}).Process(target=sleep_for_ever); p.start()
        print(p.pid, flush=True)
        hold_the_gil(0.8)
        print("computed", flush=True)
        p.join(); print(p.exitcode, flush=True)""")
    who = identity(int(parent.stdout.readline()))
    assert who is not None
    os.kill(who.pid, signal.SIGKILL)
    eventually(lambda: gone(who), 2, "reaped while the GIL is held")
    assert not select.select([parent.stdout], [], [], 0)[0], "it was not held so long"
    assert parent.stdout.readline() == "computed\n"
    assert parent.stdout.readline() == "-9\n"
    assert callable(hold_the_gil)


def test_a_parent_that_was_stopped_and_continued(program: Any) -> None:
    parent = program.start("-c", """if 1:
        import procession, time
        from procession.testing.saboteurs import sleep_for_ever
        p = procession.Process(target=sleep_for_ever); p.start()
        print(p.pid, flush=True)
        time.sleep(60)""")
    who = identity(int(parent.stdout.readline()))
    assert who is not None
    watch.stop(parent.pid)
    os.kill(who.pid, signal.SIGKILL)
    eventually(lambda: is_zombie(who), 5, "nobody can reap it now")
    os.kill(parent.pid, signal.SIGCONT)
    eventually(lambda: gone(who), 1, "reaped at once when continued")


# --- no orphan ---

TREE = """
import os, procession, sys, time
from procession.testing.saboteurs import leave_descendants, sleep_for_ever
def note(*pids):
    with open(sys.argv[1], "a") as file:
        file.write("".join(f"{pid}\\n" for pid in pids))
def child(depth):
    note(os.getpid(), *leave_descendants(*KINDS))
    if depth < DEPTH:
        procession.get_context(METHOD).Process(target=child, args=(depth + 1,)).start()
    else:
        note("ready")
    sleep_for_ever()
"""


def tree(program: Any, method: str, end: str, depth: int = 3, kinds: tuple[str, ...] = (), daemon: bool = True) -> Any:
    """Start a program with a chain of children; it ends by executing `end` when its standard input does."""
    code = f"METHOD, DEPTH, KINDS = {method!r}, {depth}, {kinds!r}\n" + TREE
    code += f"procession.get_context(METHOD).Process(target=child, args=(1,), daemon={daemon}).start()\n"
    code += f"sys.stdin.read()\n{end}\n"
    pids = program.folder / "pids"
    parent = program.start(program.script(code), str(pids), stdin=subprocess.PIPE)
    eventually(lambda: pids.exists() and "ready" in pids.read_text(), 20, "the family is complete")
    everyone = [identity(int(pid)) for pid in pids.read_text().split() if pid != "ready"]
    everyone += watch.descendants_of(parent.pid)  # (zygotes and spares too)
    assert None not in everyone
    return parent, everyone


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
@pytest.mark.parametrize("how", ["returns", "raises", "os._exit", "SIGKILL", "SIGTERM"])
def test_the_end_of_the_root_is_the_end_of_all(program: Any, method: str, how: str) -> None:
    end = {"raises": "raise RuntimeError('on purpose')", "os._exit": "os._exit(3)"}.get(how, "pass")
    kinds = ("subprocess", "fork", "session", "double", "headless")
    parent, everyone = tree(program, method, end, kinds=kinds)
    assert len(everyone) >= 3 + 3 * len(kinds)
    if how.startswith("SIG"):
        os.kill(parent.pid, getattr(signal, how))
    parent.stdin.close()
    parent.wait(20)
    wait_gone(everyone, 3)


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_the_end_of_a_child_is_the_end_of_all_below(program: Any, method: str) -> None:
    parent, everyone = tree(program, method, "pass", kinds=("subprocess", "fork", "session", "double", "headless"))
    first = identity(int((program.folder / "pids").read_text().split()[0]))
    assert first is not None
    below = [who for who in map(identity, map(int, (program.folder / "pids").read_text().split()[:-1])) if who]
    os.kill(first.pid, signal.SIGKILL)
    wait_gone(below, 3)
    assert parent.poll() is None
    parent.stdin.close()
    parent.wait(20)
    wait_gone(everyone, 3)


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_detached_is_spared(program: Any, method: str) -> None:
    parent = program.start("-c", f"""if 1:
        import os, procession, sys
        from procession.testing.saboteurs import sleep_for_ever
        ctx = procession.get_context({method!r})
        # os.write: lines of two processes, each in one piece
        p = ctx.Process(target=lambda: (os.write(1, b"up\\n"), sleep_for_ever()), detached=True); p.start()
        q = ctx.Process(target=sleep_for_ever); q.start()
        os.write(1, f"{{p.pid}} {{q.pid}} {{p.detached}} {{procession.active_children() == [q]}}\\n".encode())
        sys.stdin.read()""", stdin=subprocess.PIPE)  # fmt: skip
    lines = sorted([parent.stdout.readline(), parent.stdout.readline()])
    assert lines[1] == "up\n"
    pid, attached, *facts = lines[0].split()
    assert facts == ["True", "True"]
    spared, condemned = identity(int(pid)), identity(int(attached))
    assert spared is not None
    assert condemned is not None
    parent.kill()
    parent.wait()
    wait_gone([condemned], 3)
    try:
        time.sleep(0.3)  # (it must not happen: nothing to wait for)
        assert is_running(spared)
        assert os.getsid(spared.pid) == spared.pid
    finally:
        os.kill(spared.pid, signal.SIGKILL)
    wait_gone([spared])


def test_a_child_outlives_the_thread_that_started_it(ctx: Any) -> None:
    """PR_SET_PDEATHSIG fires at the end of the thread that made the child; it is armed by the time the target runs."""
    import threading

    kept: list[Any] = []

    def say_and_sleep(conn: Any) -> None:
        conn.send("up")
        sleep_for_ever()

    def work() -> None:
        ours, theirs = ctx.Pipe()
        process = ctx.Process(target=say_and_sleep, args=(theirs,))
        process.start()
        assert ours.recv() == "up"
        ours.close()
        theirs.close()
        kept.append(process)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.3)  # (it must not happen: nothing to wait for)
    assert [process.is_alive() for process in kept] == [True] * 3
    for process in kept:
        process.kill()
        process.join()


# --- helpers die ---


def test_the_zygote_may_be_killed_at_any_time() -> None:
    for moment in range(4 if SHORT else 12):
        leaks.settle()
        zygote = nursery._zygote
        assert zygote is not None
        zygote.signal(signal.SIGKILL)
        if moment % 2:
            zygote.wait()
        process = procession.Process(target=os._exit, args=(moment,))
        process.start()
        process.join()
        assert process.exitcode == moment


def test_spares_may_be_killed_at_any_time() -> None:
    for code in range(6):
        struck = [spare.child for spare in tuple(nursery._spares) if spare.child.pid and spare.child.signal(signal.SIGKILL)]
        if code % 2:
            for child in struck:
                child.wait()
        process = procession.Process(target=os._exit, args=(code,))
        process.start()
        process.join()
        # A spare that was struck but had not yet died when it was handed the start is a child that was killed.
        allowed = {code} if code % 2 or process.pid not in {child.pid for child in struck} else {code, -signal.SIGKILL}
        assert process.exitcode in allowed


def test_a_stopped_spare_starts_when_continued() -> None:
    for spare in tuple(nursery._spares):
        if spare.child.hello():
            watch.stop(spare.child.pid)
    stopped = [spare.child for spare in tuple(nursery._spares)]
    process = procession.Process(target=os._exit, args=(5,))
    process.start()
    for child in stopped:
        child.signal(signal.SIGCONT)
    process.join()
    assert process.exitcode == 5


def test_the_storm_in_short() -> None:
    kills = "20" if SHORT else "40"
    done = subprocess.run([sys.executable, str(STORM), "--kills", kills], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
