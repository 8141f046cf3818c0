"""A life from start() to reaped, seen through the object."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest

import procession
from procession import ClosedError, ProcessStateError, active_children, current_process
from procession.testing.saboteurs import sleep_for_ever
from procession.testing.watch import eventually


def test_target_gets_its_arguments(ctx: Any, ask: Any) -> None:
    assert ask(ctx, lambda a, b: (a, b, os.getpid() != os.getppid()), 1, "x") == (1, "x", True)


def test_keyword_arguments(ctx: Any, tmp_path: Any) -> None:
    process = ctx.Process(target=os.mkdir, args=[tmp_path / "made"], kwargs={"mode": 0o700})
    process.start()
    process.join()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_a_subclass_with_run(ctx: Any, tmp_path: Any) -> None:
    class Writer(ctx.Process):  # type: ignore[name-defined,misc]
        def __init__(self, path: Any) -> None:
            super().__init__(name="writer")
            self.path = path

        def run(self) -> None:
            self.path.write_text(f"{self.name} {self.path.name}")

    process = Writer(tmp_path / "out")
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "out").read_text() == "writer out"


def test_run_in_place_runs_here(tmp_path: Any) -> None:
    pids: list[int] = []
    process = procession.Process(target=lambda: pids.append(os.getpid()))
    process.run()
    assert pids == [os.getpid()]
    assert process.pid is None


def test_without_a_target_it_ends_well(ctx: Any) -> None:
    process = ctx.Process()
    process.start()
    process.join()
    assert process.exitcode == 0


def test_the_child_knows_itself_and_its_parent(ctx: Any, ask: Any) -> None:
    def facts() -> Any:
        me, parent = procession.current_process(), procession.parent_process()
        return me.name, me.pid, os.getpid(), parent.name, parent.pid, os.getppid(), me.daemon, parent.is_alive(), me.is_alive()

    name, pid, really, parent_name, parent_pid, parent_really, daemon, alive, myself = ask(ctx, facts, name="Kid", daemon=True)
    assert (name, pid, daemon, alive, myself) == ("Kid", really, True, True, True)
    assert (parent_name, parent_pid) == (current_process().name, os.getpid())
    assert parent_really == os.getpid()
    assert procession.parent_process() is None


def test_the_childs_own_children_are_counted_anew(ctx: Any, ask: Any) -> None:
    def names() -> Any:
        first = procession.Process()
        return [first._identity[-1], len(procession.active_children())]

    assert ask(ctx, names, name="Parent") == [1, 0]


def test_the_childs_default_start_method_is_the_one_that_made_it(ctx: Any, ask: Any) -> None:
    assert ask(ctx, lambda: procession.get_start_method()) == ctx.get_start_method()


def test_the_default_start_method_is_handed_down(program: Any) -> None:
    done = program.run("-c", """if 1:
        import procession
        procession.set_start_method("spawn")
        p = procession.Process(target=lambda: print(procession.get_start_method()))
        p.start(); p.join()""")
    assert done.stdout == "spawn\n", done.stderr


def test_alive_then_ended(ctx: Any) -> None:
    process = ctx.Process(target=sleep_for_ever)
    process.start()
    assert process.is_alive()
    assert process.exitcode is None
    assert process.ident == process.pid
    assert process in active_children()
    process.join(0)
    process.join(-1)
    began = time.monotonic()
    process.join(0.05)
    assert 0.04 < time.monotonic() - began < 10
    assert process.is_alive()
    process.kill()
    process.join()
    assert not process.is_alive()
    assert process.exitcode == -signal.SIGKILL
    assert process not in active_children()
    assert process.state == "exited"
    process.join()  # and once more: no harm


def test_active_children_forgets_the_ended(ctx: Any) -> None:
    process = ctx.Process(target=int)
    process.start()
    eventually(lambda: process not in active_children())
    assert process.exitcode == 0


def test_start_twice(ctx: Any) -> None:
    process = ctx.Process(target=int)
    process.start()
    with pytest.raises(ProcessStateError, match="cannot start a process twice"):
        process.start()
    process.join()
    with pytest.raises(AssertionError):
        process.start()


@pytest.mark.parametrize("act", ["join", "terminate", "kill", "interrupt"])
def test_nothing_can_be_done_before_the_start(ctx: Any, act: str) -> None:
    with pytest.raises(ProcessStateError, match="started process"):
        getattr(ctx.Process(target=int), act)()


def test_only_the_parent_may_use_it(ctx: Any, ask: Any) -> None:
    """A forked child inherits the object; any other cannot even be sent it."""
    sleeper = ctx.Process(target=sleep_for_ever)
    unstarted = ctx.Process(target=int)
    sleeper.start()

    def misuse() -> list[str]:
        errors = []
        for use in (sleeper.join, sleeper.is_alive, sleeper.kill, unstarted.start):
            try:
                use()
            except AssertionError as error:
                errors.append(str(error))
        return errors

    errors = ask(procession.get_context("fork"), misuse)
    assert len(errors) == 4
    assert all("child" in e or "current process" in e for e in errors), errors
    assert sleeper.is_alive()
    sleeper.kill()
    sleeper.join()


def test_close(ctx: Any) -> None:
    process = ctx.Process(target=sleep_for_ever)
    process.start()
    with pytest.raises(ValueError, match="still running"):
        process.close()
    process.kill()
    process.join()
    process.close()
    process.close()
    uses = ("start", "join", "is_alive", "terminate", "kill", "interrupt", "times")
    for use in (getattr(process, name) for name in uses):
        with pytest.raises(ClosedError, match="process object is closed"):
            use()
    for name in ("exitcode", "sentinel", "state", "pid", "ident"):
        with pytest.raises(ValueError, match="process object is closed"):
            getattr(process, name)
    assert "closed" in repr(process)


def test_an_unstarted_process_can_be_closed(ctx: Any) -> None:
    process = ctx.Process(target=int)
    process.close()
    with pytest.raises(ValueError, match="closed"):
        process.start()


def test_repr_tells_name_pid_and_end(ctx: Any) -> None:
    process = ctx.Process(target=os._exit, args=(3,), name="Bob")
    assert "initial" in repr(process)
    process.start()
    pid = process.pid
    process.join()
    text = repr(process)
    assert all(part in text for part in ("Bob", str(pid), f"parent={os.getpid()}", "stopped", "exitcode=3")), text


def test_the_sentinel_is_readable_at_the_end(ctx: Any) -> None:
    from multiprocessing.connection import wait

    process = ctx.Process(target=sleep_for_ever)
    process.start()
    assert wait([process.sentinel], 0) == []
    process.kill()
    assert wait([process.sentinel], 10) == [process.sentinel]
    process.join()
    assert wait([process.sentinel], 0) == [process.sentinel]


def test_the_sentinel_of_an_ended_process(ctx: Any) -> None:
    from multiprocessing.connection import wait

    process = ctx.Process(target=int)
    process.start()
    process.join()
    assert wait([process.sentinel], 0) == [process.sentinel]


def test_daemons_may_have_children_and_are_ended_with_them(program: Any) -> None:
    done = program.run_script("""
        import os, procession, time
        def daemon(write):
            child = procession.Process(target=time.sleep, args=(3600,))
            child.start()
            os.write(write, f"{os.getpid()} {child.pid}".encode())
            time.sleep(3600)
        read, write = os.pipe()
        p = procession.get_context("fork").Process(target=daemon, args=(write,), daemon=True)
        p.start()
        print(os.read(read, 100).decode())
    """)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for pid in map(int, done.stdout.split()):
        eventually(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 5, f"{pid} gone")


def test_a_normal_exit_joins_the_others(program: Any) -> None:
    done = program.run_script("""
        import procession, sys, time
        procession.Process(target=lambda: (time.sleep(0.3), print("child", flush=True))).start()
        print("parent", flush=True)
    """)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["parent", "child"], "")


def test_finalizers_and_atexit_of_the_child_run(ctx: Any, tmp_path: Any) -> None:
    def target() -> None:
        from multiprocessing import util

        util.Finalize(None, (tmp_path / "finalized").touch, exitpriority=1)

    process = ctx.Process(target=target)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "finalized").exists()


def test_the_child_waits_for_its_own_threads(ctx: Any, tmp_path: Any) -> None:
    def target() -> None:
        import threading

        threading.Timer(0.1, (tmp_path / "thread").touch).start()

    process = ctx.Process(target=target)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "thread").exists()


def test_ten_argument_sizes(ctx: Any, ask: Any) -> None:
    for size in (0, 1, 4000, 65_000, 70_000, 3_000_000):
        data = os.urandom(size)
        assert ask(ctx, lambda d: (len(d), d[-3:]), data) == (size, data[-3:])


def test_the_python_flags_are_the_parents(program: Any) -> None:
    done = program.run("-O", "-X", "utf8", "-c", """if 1:
        import procession, sys
        p = procession.get_context(sys.argv[1] if len(sys.argv) > 1 else None).Process(
            target=lambda: print(sys.flags.optimize, sys.flags.utf8_mode))
        p.start(); p.join()""")
    assert done.stdout.split() == ["1", "1"], done.stderr
    assert sys.flags.optimize == 0
