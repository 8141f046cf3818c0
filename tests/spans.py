"""When blocks ran, and whether side by side. (Not in a conftest: workers find functions by their module.)"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

__all__ = ["overlaps", "same", "span"]


def same(x: Any) -> Any:
    return x


def span(x: Any, seconds: float = 0.0) -> tuple[Any, int, int, int]:
    """(x, pid, begin, end)"""
    began = time.monotonic_ns()
    while time.monotonic_ns() < began + seconds * 1e9:
        pass
    return x, os.getpid(), began, time.monotonic_ns()


def overlaps(spans: list[Any]) -> int:
    ordered = sorted(spans, key=lambda each: each[2])
    return sum(later[2] < earlier[3] for earlier, later in itertools.pairwise(ordered))


def slow_put(out: Any, item: Any) -> None:
    """(Several of them take longer than a worker stays with one queue while others wait.)"""
    time.sleep(0.004)
    out.put(item)


def sync_in(queue: Any) -> Any:
    return queue.sync(same, 1)
