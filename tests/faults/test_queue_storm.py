"""The storm over queues of every kind, in short: no message comes to harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parents[2] / "scripts" / "queue-storm"
SECONDS = "2.5" if os.environ.get("PROCESSION_SHORT") else "5"


@pytest.mark.no_leak_guard
def test_the_storm_in_short() -> None:
    done = subprocess.run([sys.executable, STORM, "--seconds", SECONDS], capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.endswith("; 0 faults\n")
