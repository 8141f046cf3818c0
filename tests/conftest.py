"""Every test ends clean: no child, zombie, descriptor or thread is left. (Warnings are errors, and a hang prints all stacks:
pyproject.toml.)

Functions defined inside a test travel to the child by value, so that no child has to import the test module and pytest.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import procession
from procession import _native
from procession.core import callers
from procession.testing import leaks
from procession.testing.watch import eventually

SOURCE = Path(procession.__file__).parents[1]
METHODS = ["zygote", "fork", "spawn"]


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of every test that does not say ``@pytest.mark.no_leak_guard``."""
    if "no_leak_guard" in request.keywords:
        yield
        return
    with leaks.guard():
        yield


@pytest.fixture
def no_memory_is_left() -> Iterator[None]:
    """All of the family's memory that the test took is back after it."""
    procession.Lock()  # (there is a family)
    before = _native.commons_facts()["arena_used"]
    yield

    def back() -> bool:
        gc.collect()  # (each time: a thread that is about to end may still have something)
        return bool(_native.commons_facts()["arena_used"] <= before)  # (less: what the test before had came back only now)

    eventually(back, what="all memory back")


def pytest_configure(config: pytest.Config) -> None:
    callers.IDLENESS = 0.1  # (its thread stays for so many seconds: the guard waits until it has gone)
    config.addinivalue_line("markers", "no_leak_guard: the test runs no process of ours in this one")


def pytest_collection_finish() -> None:
    """The guard collects garbage after every test: only what tests make, not all of pytest again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=METHODS)
def ctx(request: pytest.FixtureRequest) -> Any:
    """Each start method's context."""
    return procession.get_context(request.param)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Any]:
    """``ask(ctx, function, *args, **options)``: what the function returns in a child. `options` are the Process's."""

    def ask(ctx: Any, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        import pickle

        answer = tmp_path / f"answer-{len(os.listdir(tmp_path))}"

        def report() -> None:
            import pickle

            answer.write_bytes(pickle.dumps(function(*args)))

        process = ctx.Process(target=report, **options)
        process.start()
        process.join(30)
        assert process.exitcode == 0, f"the child ended with {process.exitcode}"
        return pickle.loads(answer.read_bytes())

    return ask


class Program:
    """Runs other programs that use procession."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}
        self.running: list[subprocess.Popen[str]] = []

    def script(self, code: str, name: str = "program.py") -> str:
        """Write a script; its path."""
        path = self.folder / name
        path.write_text(textwrap.dedent(code))
        return str(path)

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """Start ``python *argv``; it is killed after the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        program = subprocess.Popen([sys.executable, *argv], env=self.env, text=True, cwd=self.folder, **options)
        self.running.append(program)
        return program

    def run(self, *argv: str, stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run ``python *argv`` to its end."""
        program = self.start(*argv, stdin=subprocess.PIPE)
        out, err = program.communicate(stdin, timeout=timeout)
        return subprocess.CompletedProcess(argv, program.returncode, out, err)

    def run_script(self, code: str, *args: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run `code` as a script file."""
        return self.run(self.script(code), *args, timeout=timeout)

    def close(self) -> None:
        for program in self.running:
            if program.poll() is None:
                program.kill()
            program.wait()
            for stream in (program.stdin, program.stdout, program.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Runs other programs."""
    runner = Program(tmp_path)
    yield runner
    runner.close()
