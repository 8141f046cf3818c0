"""How a child ends, and what the parent sees of it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

import procession
from procession.testing import saboteurs
from procession.testing.watch import eventually


def ended(ctx: Any, target: Any, *args: Any) -> int | None:
    process = ctx.Process(target=target, args=args, name="Suicidal")
    process.start()
    process.join(30)
    code: int | None = process.exitcode
    return code


def test_a_return_is_0(ctx: Any) -> None:
    assert ended(ctx, lambda: 17) == 0


def test_an_exception_is_1_with_its_traceback_on_stderr(ctx: Any, capfd: Any) -> None:
    assert ended(ctx, saboteurs.raise_error, ZeroDivisionError("my words")) == 1
    err = capfd.readouterr().err
    assert err.startswith("Process Suicidal:\nTraceback (most recent call last):\n")
    assert err.endswith("ZeroDivisionError: my words\n")
    assert err.count("Traceback") == 1


def test_keyboard_interrupt_is_1(ctx: Any) -> None:
    assert ended(ctx, saboteurs.raise_error, KeyboardInterrupt()) == 1


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [(None, 0, ""), (0, 0, ""), (3, 3, ""), (255, 255, ""), (256, 0, ""), (-1, 255, ""), (True, 1, ""), (False, 0, ""),
     ("last words", 1, "last words\n"), ((1, 2), 1, "(1, 2)\n"), (1.5, 1, "1.5\n")],
)  # fmt: skip
def test_sys_exit(ctx: Any, value: Any, code: int, words: str, capfd: Any) -> None:
    def leave() -> None:
        import sys

        sys.exit(value)

    assert ended(ctx, leave) == code
    assert capfd.readouterr().err == words


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_os_exit(ctx: Any, code: int) -> None:
    assert ended(ctx, saboteurs.exit_at_once, code) == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGXCPU, signal.SIGUSR1, signal.SIGRTMIN + 3])
def test_a_signal_is_its_number_below_zero(ctx: Any, number: int) -> None:
    assert ended(ctx, saboteurs.kill_self, number) == -number


def test_a_real_crash(ctx: Any, capfd: Any) -> None:
    import faulthandler

    def crash() -> None:
        faulthandler.disable()  # (a fork has pytest's, which would print a page)
        saboteurs.crash_hard()

    assert ended(ctx, crash) == -signal.SIGSEGV


def test_terminate_kill_interrupt(ctx: Any) -> None:
    for act, code in (("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)):
        process = ctx.Process(target=saboteurs.sleep_for_ever)
        process.start()
        getattr(process, act)()
        process.join(10)
        assert process.exitcode == code
        getattr(process, act)()  # of an ended one: no error


def nap() -> None:
    """Sleep a minute in short pieces: a signal between Python's last look for one and a sleep waits until the sleep ends."""
    import time

    for _ in range(600):
        time.sleep(0.1)


def test_interrupt_raises_keyboard_interrupt(ctx: Any, tmp_path: Any) -> None:
    def target() -> None:
        try:
            (tmp_path / "ready").touch()
            nap()
        except KeyboardInterrupt:
            (tmp_path / "interrupted").touch()

    process = ctx.Process(target=target)
    process.start()
    eventually((tmp_path / "ready").exists)
    process.interrupt()
    process.join(10)
    assert process.exitcode == 0
    assert (tmp_path / "interrupted").exists()


def test_an_uncaught_interrupt_is_1_and_silent(ctx: Any, tmp_path: Any, capfd: Any) -> None:
    """The parent's traceback tells of Ctrl-C; one per child would say no more."""

    def target() -> None:
        (tmp_path / "ready").touch()
        nap()

    process = ctx.Process(target=target)
    process.start()
    eventually((tmp_path / "ready").exists)
    process.interrupt()
    process.join(10)
    assert process.exitcode == 1
    assert capfd.readouterr().err == ""


def test_terminate_with_grace_spares_who_obeys(ctx: Any) -> None:
    process = ctx.Process(target=saboteurs.sleep_for_ever)
    process.start()
    process.terminate(grace=30)
    process.join(10)
    assert process.exitcode == -signal.SIGTERM


def test_terminate_with_grace_kills_who_does_not(ctx: Any) -> None:
    import os
    import time

    read, write = os.pipe()

    def deaf() -> None:
        saboteurs.ignore_sigterm(0)

    process = ctx.Process(target=deaf, stdin=write)
    process.start()
    os.read(read, 1)
    began = time.monotonic()
    process.terminate(grace=0.3)
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    assert 0.25 < time.monotonic() - began < 10
    os.close(read)
    os.close(write)


def test_terminate_with_grace_reaches_all_that_it_started(ctx: Any, tmp_path: Any) -> None:
    from procession.testing.watch import identity, wait_gone

    def target() -> None:
        pids = saboteurs.leave_descendants("subprocess", "fork", "session", "double", "headless")
        (tmp_path / "pids.tmp").write_text(" ".join(map(str, pids)))
        (tmp_path / "pids.tmp").rename(tmp_path / "pids")
        saboteurs.sleep_for_ever()

    process = ctx.Process(target=target)
    process.start()
    eventually((tmp_path / "pids").exists)
    below = [identity(int(pid)) for pid in (tmp_path / "pids").read_text().split()]
    assert None not in below
    process.terminate(grace=5)
    process.join(10)
    assert process.exitcode == -signal.SIGTERM
    wait_gone([who for who in below if who], 3)


@pytest.mark.parametrize("grace", [-1, float("nan")])
def test_a_grace_that_is_no_time_is_refused(grace: float) -> None:
    process = procession.Process(target=saboteurs.sleep_for_ever)
    process.start()
    with pytest.raises(ValueError, match="grace must be"):
        process.terminate(grace=grace)
    process.kill()
    process.join()


def test_output_of_the_child_is_flushed(ctx: Any, capfd: Any) -> None:
    assert ended(ctx, print, "no newline at the end", ) == 0
    assert capfd.readouterr().out == "no newline at the end\n"


def test_what_the_parent_has_not_flushed_is_not_printed_twice(program: Any) -> None:
    for method in ("zygote", "fork", "spawn"):
        done = program.run("-c", f"""if 1:
            import procession
            print("once")
            p = procession.get_context({method!r}).Process(target=int)
            p.start(); p.join()""")
        assert done.stdout == "once\n", (method, done.stderr)


@pytest.mark.no_leak_guard
def test_the_tracebacks_of_many_children_are_not_mixed(program: Any) -> None:
    done = program.run_script("""
        import procession
        def fail(n):
            raise ValueError(f"number {n}")
        all = [procession.Process(target=fail, args=(n,), name=f"failing-{n}") for n in range(24)]
        for p in all: p.start()
        for p in all: p.join()
        assert {p.exitcode for p in all} == {1}
    """)
    assert done.returncode == 0, done.stderr
    blocks = done.stderr.split("Process failing-")[1:]
    assert len(blocks) == 24
    for block in blocks:
        lines = block.splitlines()
        number = lines[0].rstrip(":")
        assert lines[1] == "Traceback (most recent call last):"
        assert lines[-1] == f"ValueError: number {number}"
