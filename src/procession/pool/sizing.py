"""How many items go into one piece: few at first, so that the first results come soon, then as many as take some
milliseconds."""

from __future__ import annotations

__all__ = ["Sizer"]

#: Seconds that a piece should take: a hundred times what it costs to hand one over.
AIM = 0.004
#: A piece is at most so many times as long as the longest that has come back.
GROWTH = 8
MOST = 65536


class Sizer:
    """Of one stream. `size`: what the user asked for; None: to be found out. `length`: how many items there are, if that is
    known."""

    def __init__(self, size: int | None, length: int | None, workers: int) -> None:
        self.size = size or 1
        self._fixed = size is not None
        self._length = length
        self._workers = workers
        self._each: float | None = None

    def next(self, read: int) -> int:
        """How many items to take now, after `read` of them. With a known length the last pieces get smaller, so that all
        workers end together."""
        if self._fixed or self._length is None:
            return self.size
        return max(min(self.size, (self._length - read) // (2 * self._workers)), 1)

    def learn(self, count: int, seconds: float) -> None:
        """So many items took so long."""
        if self._fixed or not count:
            return
        each = max(seconds / count, 1e-9)
        self._each = each if self._each is None else (self._each + each) / 2
        if count * 2 >= self.size or each * self.size > AIM:
            self.size = max(1, min(int(AIM / self._each), self.size * GROWTH, MOST))
