"""Whole numbers that are given to calls: how many. (Seconds are in `seconds.py`.)"""

from __future__ import annotations

import operator
from typing import Any

__all__ = ["count_of"]


def count_of(value: Any, what: str) -> int:
    """That number, by Python's rules for what expects a whole one (``__index__``: numpy's integers are some).

    Raises TypeError for anything else; `what` names it, as in "max_workers must be a whole number; got 1.5".
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number; got {value!r}") from None
