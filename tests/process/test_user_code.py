"""Programs that fork, wait and handle SIGCHLD by themselves do not notice us."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

import procession
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually


def start(ctx: Any, target: Any, *args: Any) -> Any:
    process = ctx.Process(target=target, args=args)
    process.start()
    return process


def fork(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return pid


def test_wait_until_no_child_is_left(ctx: Any) -> None:
    """The zygote and its spares live on, and are not seen."""
    ours = start(ctx, os._exit, 7)
    slow = start(ctx, time.sleep, 0.05)
    forked = fork(3)
    program = subprocess.Popen(["sleep", "0.05"])
    seen = {}
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        seen[pid] = os.waitstatus_to_exitcode(status)
    program.returncode = 0
    assert seen == {ours.pid: 7, slow.pid: 0, forked: 3, program.pid: 0}
    assert (ours.exitcode, slow.exitcode) == (7, 0)
    ours.join()


@pytest.mark.parametrize("form", ["wait", "-1", "0", "group", "wait3", "wait4", "waitid", "waitid group"])
def test_every_form_of_any_child(form: str) -> None:
    call: Any = {
        "wait": lambda: os.wait(),
        "-1": lambda: os.waitpid(-1, 0),
        "0": lambda: os.waitpid(0, 0),
        "group": lambda: os.waitpid(-os.getpgrp(), 0),
        "wait3": lambda: os.wait3(0),
        "wait4": lambda: os.wait4(-1, 0),
        "waitid": lambda: os.waitid(os.P_ALL, 0, os.WEXITED),
        "waitid group": lambda: os.waitid(os.P_PGID, os.getpgrp(), os.WEXITED),
    }[form]
    with pytest.raises(ChildProcessError):
        call()
    process = start(procession, sleep_for_ever)
    process.kill()
    got = call()
    assert got[0] == process.pid
    if form.startswith("waitid"):
        assert (got.si_status, got.si_code) == (9, os.CLD_KILLED)
    else:
        assert os.waitstatus_to_exitcode(got[1]) == -9
    with pytest.raises(ChildProcessError):
        call()
    assert process.exitcode == -9
    forked = fork(5)
    assert call()[0] == forked
    with pytest.raises(ChildProcessError):
        call()


def test_not_waiting(ctx: Any) -> None:
    process = start(ctx, sleep_for_ever)
    assert os.waitpid(-1, os.WNOHANG) == (0, 0)
    assert os.waitpid(process.pid, os.WNOHANG) == (0, 0)
    assert os.wait3(os.WNOHANG)[:2] == (0, 0)
    assert os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is None
    process.kill()
    eventually(lambda: os.waitpid(-1, os.WNOHANG) == (process.pid, 9))
    assert process.exitcode == -9


def test_waitpid_of_a_process_that_was_reaped(ctx: Any) -> None:
    process = start(ctx, os._exit, 9)
    eventually(lambda: not os.path.exists(f"/proc/{process.pid}"))
    assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT).si_status == 9
    assert os.waitpid(process.pid, 0) == (process.pid, 9 << 8)
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)
    assert process.exitcode == 9


def test_waitpid_of_a_process_that_runs(ctx: Any) -> None:
    process = start(ctx, time.sleep, 0.1)
    assert os.waitpid(process.pid, 0) == (process.pid, 0)
    process.join()
    assert process.exitcode == 0


def test_a_joined_process_is_not_seen_again(ctx: Any) -> None:
    process = start(ctx, int)
    process.join()
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)
    with pytest.raises(ChildProcessError):
        os.wait()


def test_a_stopped_child_is_reported_with_wuntraced() -> None:
    import signal

    process = start(procession, sleep_for_ever)
    os.kill(process.pid, signal.SIGSTOP)
    pid, status = os.waitpid(-1, os.WUNTRACED)
    assert (pid, os.WIFSTOPPED(status)) == (process.pid, True)
    assert process.state == "stopped"
    process.kill()
    process.join()
    assert process.exitcode == -9


def test_the_functions_keep_their_manners() -> None:
    import inspect
    import pickle

    start(procession, int).join()
    assert str(inspect.signature(os.waitpid)) == "(pid, options, /)"
    assert str(inspect.signature(os.wait4)) == "(pid, options)"
    assert os.wait4(pid=fork(1), options=0)[1] == 1 << 8
    assert pickle.loads(pickle.dumps(os.waitpid)) is os.waitpid
    for call in (lambda: os.waitpid("x", 0), lambda: os.wait(1), lambda: os.waitpid()):  # type: ignore[arg-type,call-arg,misc]
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ChildProcessError):
        os.waitpid(1, 0)


def test_a_sigchld_handler_that_waits_for_all(program: Any) -> None:
    done = program.run_script("""
        import os, procession, signal, subprocess, time
        seen = {}
        def handler(*_):
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if pid == 0:
                    return
                seen[pid] = os.waitstatus_to_exitcode(status)
        signal.signal(signal.SIGCHLD, handler)
        want = {}
        kept = []
        for i in range(30):
            p = procession.Process(target=os._exit, args=(i,)); p.start(); want[p.pid] = i; kept.append(p)
            pid = os.fork()
            if pid == 0: os._exit(100 + i)
            want[pid] = 100 + i
        deadline = time.monotonic() + 10
        while seen != want and time.monotonic() < deadline:
            time.sleep(0.01); handler()
        print(seen == want, [p.exitcode for p in kept] == list(range(30)))
        if seen != want:
            print({k: v for k, v in want.items() if seen.get(k) != v}, {k: v for k, v in seen.items() if k not in want})
    """)
    assert done.stdout == "True True\n", done.stderr
    assert done.stderr == ""


def test_a_child_that_ends_before_its_start_has_returned(program: Any) -> None:
    """The very first one: its end comes while start() still orders the next spares."""
    done = program.run_script("""
        import os, procession, signal, time
        from procession.process.nursery import nursery
        seen = []
        signal.signal(signal.SIGCHLD, lambda *_: seen.append(os.waitpid(-1, os.WNOHANG)))
        refill = nursery.refill
        def late():
            deadline = time.monotonic() + 10
            while not seen and time.monotonic() < deadline:
                signal.sigtimedwait([], 0.01)
            refill()
        nursery.refill = late
        p = procession.Process(target=os._exit, args=(3,))
        p.start()
        p.join()
        print(seen == [(p.pid, 3 << 8)], p.exitcode)
    """)
    assert done.stdout == "True 3\n", done.stderr
    assert done.stderr == ""


def test_a_spare_whose_end_is_seen_before_it_begins(program: Any) -> None:
    """It is killed as it is taken, and a SIGCHLD handler waits for it: the next gets the start, and is not thought dead."""
    done = program.run_script("""
        import os, procession
        from procession.process import oswait
        note, killed = oswait.note, []
        def kill_the_first(popen):
            note(popen)
            if not killed:
                killed.append(popen.pid)
                os.kill(popen.pid, 9)
                popen.child.wait()
                os.waitpid(-1, os.WNOHANG)
        oswait.note = kill_the_first
        p = procession.Process(target=os._exit, args=(3,))
        p.start()
        p.join()
        print(p.exitcode, p.pid not in killed)
    """)
    assert done.stdout == "3 True\n", done.stderr


def test_a_hook_of_fork_that_lets_other_threads_run(program: Any) -> None:
    """Between the fork and our own hook after it: they may ask for children meanwhile."""
    done = program.run_script("""
        import os, threading, time
        forked = threading.Event()
        os.register_at_fork(after_in_parent=lambda: (forked.set(), time.sleep(0.2)))
        import procession
        p = procession.Process(target=time.sleep, args=(60,))
        p.start()
        t = threading.Thread(target=lambda: (forked.wait(), p.sentinel, p.kill()))
        t.start()
        pid = os.fork()
        if pid == 0: os._exit(0)
        t.join()
        p.join()
        print(p.exitcode, os.waitpid(pid, 0)[1])
    """)
    assert done.stdout == "-9 0\n", done.stderr


def test_ignored_sigchld(program: Any) -> None:
    """The kernel throws the status away; the child's own last words remain."""
    done = program.run_script("""
        import procession, signal, sys
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for i in range(5):
            p = procession.Process(target=sys.exit, args=(i,)); p.start(); p.join(); print(p.exitcode, end=" ")
    """)
    assert done.stdout == "0 1 2 3 4 ", done.stderr


def test_subprocess_keeps_its_status(ctx: Any) -> None:
    start(ctx, int).join()
    assert subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(5)"]).returncode == 5
    assert os.system("exit 3") == 3 << 8
    with os.popen("echo hi") as pipe:
        assert pipe.read() == "hi\n"


def test_fork_gives_no_warning_because_of_us(ctx: Any) -> None:
    """Warnings are errors here. With a child running and a callback pending there are two threads of ours."""
    process = start(ctx, sleep_for_ever)
    called: list[Any] = []
    process.add_done_callback(called.append)
    for code in range(20):
        pid = fork(code)
        assert os.waitpid(pid, 0) == (pid, code << 8)
    process.kill()
    eventually(lambda: called == [process])
    process.join()


def test_the_reaper_is_back_after_a_fork(ctx: Any) -> None:
    process = start(ctx, sleep_for_ever)
    os.waitpid(fork(0), 0)
    pid = process.pid
    process.kill()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), 5, "reaped without join")
    process.join()


def test_a_forked_child_has_a_life_of_its_own() -> None:
    """It may start processes, has none of the parent's, and leaves the parent's alone."""
    process = start(procession, sleep_for_ever)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            inner = procession.get_context("zygote").Process(target=os._exit, args=(6,))
            inner.start()
            inner.join()
            code = 0 if inner.exitcode == 6 and inner._parent_pid == os.getpid() else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert process.is_alive()
    process.kill()
    process.join()


def test_fork_in_a_child_and_wait_there(ctx: Any, ask: Any) -> None:
    def target() -> Any:
        pids = []
        for code in (1, 2):
            pid = os.fork()
            if pid == 0:
                os._exit(code)
            pids.append(pid)
        inner = procession.Process(target=os._exit, args=(3,))
        inner.start()
        seen = {}
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                return [seen == {pids[0]: 1, pids[1]: 2, inner.pid: 3}, sorted(seen.values())]
            seen[pid] = os.waitstatus_to_exitcode(status)

    assert ask(ctx, target) == [True, [1, 2, 3]]
