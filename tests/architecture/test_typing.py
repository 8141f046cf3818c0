"""The types of the public interface, as a checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.no_leak_guard
def test_the_forms_of_waiting_are_typed() -> None:
    pytest.importorskip("mypy", reason="mypy is not installed; CI runs it by itself, too")
    command = [sys.executable, "-m", "mypy", "tests/typing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
