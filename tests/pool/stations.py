"""Where tasks and tests meet. (Not in a conftest: workers find classes by their module, and each room has one of that name.)"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import procession
from procession.testing import watch

__all__ = ["LIMIT", "Doors", "Lines"]

LIMIT = 20.0


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
