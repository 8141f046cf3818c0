"""Signals to the runner reach the program once; a terminal's keys work as without it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from procession.testing import watch
from procession.testing.watch import eventually, identity, is_running, wait_gone

#: Prints every signal it gets, a line each; ends at SIGUSR2.
LISTENER = """
import os, signal, sys
got = []
done = []
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN + 1):
    signal.signal(number, lambda number, _: got.append(number))
signal.signal(signal.SIGUSR2, lambda *_: done.append(1))
print("ready", flush=True)
while not done:
    signal.sigtimedwait([], 0.1)  # (not pause(): a signal that comes just before it would be waited for in vain)
print(sorted(got), flush=True)
"""


@pytest.mark.parametrize("number", [1, 2, 10, 15, 28, 35])
def test_signals_are_passed_on_once(start: Any, number: int) -> None:
    runner = start("-q", "-c", LISTENER)
    assert runner.stdout.readline() == "ready\n"
    runner.send_signal(number)
    program = program_of(runner.pid)
    eventually(lambda: not pending(runner.pid) and not pending(program))
    runner.send_signal(signal.SIGUSR2)
    assert runner.communicate(timeout=30)[0] == f"[{number}]\n"
    assert runner.returncode == 0


def program_of(runner: int) -> int:
    return min(watch.children_of(runner))


def pending(pid: int) -> int:
    """The signals that wait to be taken, as /proc tells them."""
    with open(f"/proc/{pid}/status") as file:
        words = dict(line.split(":", 1) for line in file.read().splitlines())
    return int(words["SigPnd"], 16) | int(words["ShdPnd"], 16)


def test_the_end_by_a_passed_signal(start: Any) -> None:
    runner = start("-q", "-c", "import time; print('ready', flush=True); time.sleep(3600)")
    runner.stdout.readline()
    runner.terminate()
    runner.communicate(timeout=30)
    assert runner.returncode == 128 + signal.SIGTERM


def test_ignored_and_blocked_signals_are_inherited(program: Any) -> None:
    code = "import signal; print(signal.getsignal(1) == signal.SIG_IGN, signal.pthread_sigmask(0, []) == {signal.SIGUSR1})"
    script = (
        "import os, signal, sys\nsignal.signal(1, signal.SIG_IGN)\nsignal.signal(17, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'procession', 'run', '-q', '-c', {code!r}])"
    )
    assert program.run("-c", script).stdout == "True True\n"


# --- at a terminal ---

#: What a shell does with a job: its own group, the terminal's foreground; told when it stops.
SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, job.pid)
while True:
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped by", os.WSTOPSIG(status), flush=True)
    input()
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
job.returncode = 0
print("ended with", os.waitstatus_to_exitcode(status), flush=True)
"""


class Terminal:
    """A terminal with a shell that runs one job."""

    def __init__(self, program: Any, *words: str) -> None:
        self.master, slave = os.openpty()
        command = [sys.executable, "-c", SHELL, sys.executable, "-m", "procession", "run", *words]
        self.shell = subprocess.Popen(
            command, env=program.env, cwd=program.folder, start_new_session=True,
            stdin=slave, stdout=slave, stderr=slave,
        )
        os.close(slave)
        self.text = ""

    def expect(self, words: str, timeout: float = 20) -> None:
        """Read on until the words appear."""
        deadline = time.monotonic() + timeout
        while words not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"not within {timeout} s: {words!r} in {self.text!r}"
            try:
                self.text += os.read(self.master, 4096).decode()
            except OSError:
                raise AssertionError(f"{words!r} is not in {self.text!r}") from None

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        everyone = watch.descendants_of(self.shell.pid)
        for who in everyone:
            if is_running(who):
                os.kill(who.pid, signal.SIGKILL)
        self.shell.kill()
        self.shell.wait()
        wait_gone(everyone)
        os.close(self.master)


@pytest.fixture
def terminal(program: Any) -> Iterator[Any]:
    opened: list[Terminal] = []

    def open_(*words: str) -> Terminal:
        opened.append(Terminal(program, *words))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def test_control_c_reaches_the_program_once(terminal: Any) -> None:
    at = terminal("-q", "-c", LISTENER)
    at.expect("ready")
    at.type(b"\x03")
    runner = min(watch.children_of(at.shell.pid))
    eventually(lambda: not pending(runner) and not pending(program_of(runner)))
    os.kill(runner, signal.SIGUSR2)
    at.expect("[2]")
    at.expect("ended with 0")


def test_control_c_ends_a_program_with_children_with_one_traceback(terminal: Any, program: Any) -> None:
    path = program.script(
        """
        import multiprocessing, time

        def child(there):
            there.send("up")
            time.sleep(3600)

        for _ in range(3):
            here, there = multiprocessing.Pipe()
            p = multiprocessing.Process(target=child, args=(there,))
            p.start()
            here.recv()
        print("ready", flush=True)
        p.join()
        """
    )
    at = terminal(path)
    at.expect("ready")
    at.type(b"\x03")
    at.expect("ended with 130")
    assert at.text.count("Traceback") == 1, at.text
    assert "4 processes started" in at.text


def test_control_z_stops_the_job_and_it_goes_on(terminal: Any) -> None:
    code = "import os; print('ready', flush=True); print('read', input(), flush=True)"
    at = terminal("-q", "-c", code)
    at.expect("ready")
    runner = min(watch.children_of(at.shell.pid))
    who = identity(program_of(runner))
    assert who is not None
    for turn in range(2):
        at.text = ""
        at.type(b"\x1a")
        at.expect(f"stopped by {int(signal.SIGTSTP)}")
        assert stopped(who.pid), turn
        at.type(b"\n")
        eventually(lambda: not stopped(who.pid) and not stopped(runner))
    at.type(b"words\n")
    at.expect("read words")
    at.expect("ended with 0")


def test_a_stopped_program_goes_on_when_the_runner_is_told_to(start: Any) -> None:
    runner = start("-q", "-c", "import time; print('ready', flush=True); time.sleep(3600)")
    runner.stdout.readline()
    program = program_of(runner.pid)
    os.kill(program, signal.SIGSTOP)
    eventually(lambda: stopped(program))
    runner.send_signal(signal.SIGCONT)
    eventually(lambda: not stopped(program))
    assert not stopped(runner.pid)
    runner.kill()


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"
