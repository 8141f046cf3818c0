"""Programs that are run as scripts of their own, since `install` changes the whole process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import procession

SOURCE = Path(procession.__file__).parents[1]

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(code, *arguments)``: what the program prints, run as a script in which `multiprocessing` is ours."""

    def run(code: str, *arguments: str, install: bool = True) -> str:
        script = tmp_path / "script.py"
        first = "from procession import compat; compat.install()\n" if install else ""
        script.write_text(first + textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, "-W", "error", script, *arguments], env={"PYTHONPATH": str(SOURCE)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)
