"""``run``: an example, run as a reader would."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from script_runner import ROOT, WAYS, run_script


@pytest.fixture(params=list(WAYS))
def run(request: pytest.FixtureRequest, no_memory_is_left: None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``run(name, *arguments)``: the finished ``examples/name.py``, run in each way. (It is of our family: it finds it by our
    environment.)"""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_script(request.param, ROOT / "examples" / f"{name}.py", *arguments)

    return run
