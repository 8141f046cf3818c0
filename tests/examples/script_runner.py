"""Run a script as a reader would, and hold that nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "PROCESSION_TEST_MARK"

#: Each way to run a script, as the words before its path.
WAYS = {
    "python": [sys.executable],
    "procession": [sys.executable, "-m", "procession", "run", "--quiet"],
}


def _marked(mark: str) -> list[int]:
    """Pids of the living processes that have `mark` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # another user's, or gone
    return found


def run_script(way: str, script: Path, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run it from the repository's root, warnings being errors; fail if a process of it is alive two seconds later."""
    mark = uuid.uuid4().hex
    environ = {**os.environ, MARK: mark, "PYTHONWARNINGS": "error", "COLUMNS": "80"}
    result = subprocess.run(
        [*WAYS[way], str(script), *arguments],
        cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    deadline = time.monotonic() + 2
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not left, f"processes {left} are left of {script.name}; it printed {result.stdout!r} {result.stderr!r}"
    return result
