"""Actors for the tests; and no test leaves a wait behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from actors import Actor, Numbers

import procession
from procession import _native
from procession.testing.watch import eventually


@pytest.fixture
def actor() -> Iterator[Callable[..., Actor]]:
    """``actor(context)``: a new one, which ends with the test."""
    made: list[Actor] = []

    def new(context: Any = procession, **options: Any) -> Actor:
        made.append(Actor(context, **options))
        return made[-1]

    yield new
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def no_wait_left(leak_guard: None) -> Iterator[None]:
    """Nobody waits any more when a test is over, and no note about the dead is left unread."""
    _, before = _native.cells_in_use()
    yield
    gc.collect()
    eventually(lambda: _native.cells_in_use()[1] <= before, 3, "no wait is left")


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[[int], Numbers]:
    """``numbers(n)``: that many shared numbers, all 0."""
    return lambda count: Numbers(str(tmp_path / "numbers"), count)
