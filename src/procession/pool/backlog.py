"""Tasks that wait to be handed to the workers: those of the highest priority first, else in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from procession.pool.task import Task

__all__ = ["Backlog"]


class Backlog:
    """One line for each priority that was ever asked for. The engine's lock guards it."""

    def __init__(self) -> None:
        self._plain: deque[Task] = deque()
        self._lines: dict[int, deque[Task]] = {0: self._plain}
        self._order: list[deque[Task]] = [self._plain]  # the most urgent first
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def push(self, task: Task, *, first: bool = False) -> None:
        """Let it wait; `first`: before all others of its priority."""
        line = self._plain if task.extra is None else self._line(task.extra.options.priority)
        (line.appendleft if first else line.append)(task)
        self.count += 1

    def _line(self, priority: int) -> deque[Task]:
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = deque()
            self._order = [self._lines[key] for key in sorted(self._lines, reverse=True)]
        return line

    def is_ordered(self) -> bool:
        """Whether some were asked for before others."""
        return len(self._order) > 1

    def pop(self) -> Task:
        """The next. Raises IndexError if there is none."""
        for line in self._order:
            if line:
                self.count -= 1
                return line.popleft()
        raise IndexError("no task waits")

    def drain(self) -> Iterator[Task]:
        """All, each taken out as it comes."""
        while self.count:
            yield self.pop()
