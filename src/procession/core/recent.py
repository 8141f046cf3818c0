"""What is read from files again and again, and seldom changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Recent"]

T = TypeVar("T")


class Recent(Generic[T]):
    """What `function` answered, at most `seconds` ago. Called anew in a forked child. Raises what it raises."""

    __slots__ = ("_answer", "_call", "_pid", "_seconds", "_until")

    def __init__(self, function: Callable[[], T], seconds: float = 1.0) -> None:
        self._call = function
        self._seconds = seconds
        self._until = 0.0
        self._pid = 0

    def __call__(self) -> T:
        now = time.monotonic()
        if now >= self._until or self._pid != os.getpid():
            self._answer = self._call()
            self._until, self._pid = now + self._seconds, os.getpid()
        return self._answer
