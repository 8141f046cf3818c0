"""Event loops by name, and what children of scopes tell by."""

from __future__ import annotations

from pathlib import Path

import pytest
from scope_tools import Loops, Marks


@pytest.fixture(params=["asyncio", "trio"])
def loops(request: pytest.FixtureRequest) -> Loops:
    found = Loops(request.param)
    if request.param == "trio":
        found._trio()
    return found


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    folder = tmp_path / "marks"
    folder.mkdir()
    return Marks(folder)
