"""Pools of two workers, closed in time; files in which tasks and tests tell each other how far they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import procession
from procession.core import callers
from procession.pool.executor import ProcessPoolExecutor
from procession.pool.pool import Pool
from procession.testing import watch

LIMIT = 20.0


@pytest.fixture(autouse=True)
def callers_leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the leak guard need not wait for them."""
    monkeypatch.setattr(callers, "IDLENESS", 0.02)


class Doors:
    """Tasks go through doors: ``enter(i)`` says that it is there, and waits until the test opens. Can be sent."""

    def __init__(self, count: int = 8) -> None:
        self.here = [procession.Event() for _ in range(count)]
        self.open = [procession.Event() for _ in range(count)]

    def enter(self, door: int, value: Any = None) -> Any:
        """In a task."""
        self.here[door].set()
        if not self.open[door].wait(LIMIT):
            raise AssertionError(f"door {door} stayed shut")
        return value

    def wait(self, *doors: int) -> None:
        """In the test: until a task stands before each."""
        for door in doors:
            assert self.here[door].wait(LIMIT), f"nobody came to door {door}"

    def let(self, *doors: int) -> None:
        for door in doors:
            self.open[door].set()


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


class Lines:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        path.touch()

    def add(self, *words: object) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, (" ".join(map(str, words)) + "\n").encode())
        os.close(fd)

    def all(self) -> list[str]:
        return Path(self.path).read_text().splitlines()

    def wait(self, count: int) -> list[str]:
        """Until there are so many."""
        watch.eventually(lambda: len(self.all()) >= count, LIMIT, f"{count} lines in {self.all()}")
        return self.all()
