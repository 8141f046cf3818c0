"""`procession run` as a fixture."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procession.testing.watch import Identity, eventually, identity, is_running, wait_gone

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(program: Any) -> Run:
    """``run(*words)``: `procession run` with these words, to its end."""

    def run(*words: str, stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return program.run("-m", "procession", "run", *words, stdin=stdin, timeout=timeout)

    return run


@pytest.fixture
def start(program: Any) -> Callable[..., subprocess.Popen[str]]:
    """``start(*words)``: the same, not waiting."""

    def start(*words: str, **options: Any) -> subprocess.Popen[str]:
        return program.start("-m", "procession", "run", *words, **options)

    return start


class Pids:
    """Pids that a program notes in a file, one per line and name, and what is true of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Identity] = {}

    def wait(self, *names: str) -> dict[str, Identity]:
        """Wait until all of these have been noted; who they are."""
        eventually(lambda: set(names) <= set(self._read()), what=f"the program notes {names}")
        return {name: self._known[name] for name in names}

    def running(self) -> list[str]:
        """The names of those noted that run now."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [name for name, pid in lines if (who := identity(int(pid))) and is_running(who)]

    def noted(self) -> set[str]:
        """All names noted so far."""
        return {line.split()[0] for line in self.path.read_text().splitlines()}

    def _read(self) -> dict[str, Identity]:
        text = self.path.read_text() if self.path.exists() else ""
        for line in text.splitlines():
            name, pid = line.split()
            if name not in self._known and (who := identity(int(pid))):
                self._known[name] = who
        return self._known

    def end(self) -> None:
        """End all that are left, also after a failed test."""
        for who in self._read().values():
            if is_running(who):
                os.kill(who.pid, signal.SIGKILL)
        wait_gone(self._known.values())


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Pids]:
    """Where a test's program notes whom it starts: see NOTE."""
    found = Pids(tmp_path / "pids")
    yield found
    found.end()
