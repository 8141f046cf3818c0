"""Pools of two workers, closed in time; files in which tasks and tests tell each other how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stations import LIMIT, Doors, Lines

from procession.core import callers
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.pool import Pool


@pytest.fixture(autouse=True)
def callers_leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the leak guard need not wait for them."""
    monkeypatch.setattr(callers, "IDLENESS", 0.02)


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def executors() -> Iterator[Callable[..., ProcessPoolExecutor]]:
    """Makes executors, which are shut down after the test; killed if that takes too long."""
    made: list[ProcessPoolExecutor] = []

    def make(max_workers: int | None = 2, *args: Any, **options: Any) -> ProcessPoolExecutor:
        made.append(ProcessPoolExecutor(max_workers, *args, **options))
        return made[-1]

    yield make
    stuck = []
    for executor in made:
        executor.shutdown(wait=False)
        if not executor._engine.join(LIMIT):
            stuck.append(executor)
            executor.kill_workers()
            executor._engine.join(5)
    assert not stuck


@pytest.fixture
def executor(executors: Callable[..., ProcessPoolExecutor]) -> ProcessPoolExecutor:
    return executors()


@pytest.fixture
def pools() -> Iterator[Callable[..., Pool]]:
    """Makes pools, which are terminated after the test."""
    made: list[Pool] = []

    def make(processes: int | None = 2, *args: Any, **options: Any) -> Pool:
        made.append(Pool(processes, *args, **options))
        return made[-1]

    yield make
    for pool in made:
        pool.terminate()
        assert pool._engine.over.is_set()


@pytest.fixture
def pool(pools: Callable[..., Pool]) -> Pool:
    return pools()


@pytest.fixture
def lines(tmp_path: Path) -> Any:
    """A file to which processes append lines, each in one step."""
    return Lines(tmp_path / "lines")
