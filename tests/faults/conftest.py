"""What tests of awaits share."""

from __future__ import annotations

import pytest

from eventloops import ALL_LOOPS, LOOPS, Run
from procession.core import callers


@pytest.fixture
def callers_leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "IDLENESS", 0.02)


def run_of(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


run = pytest.fixture(params=ALL_LOOPS)(run_of)
run_either = pytest.fixture(params=LOOPS)(run_of)
