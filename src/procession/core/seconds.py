"""Numbers of seconds that are given to calls, as they are accepted everywhere (native/py/convert.c does the same)."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["grace_of", "timeout_of"]

#: Seconds, some 31 years, from which on a wait is one without end.
LONGEST = 1e9


def timeout_of(timeout: Any) -> float | None:
    """That time limit; None: there is none, or one that nobody lives to see. Raises TypeError for what is no number, ValueError
    for NaN."""
    if timeout is None:
        return None
    if not is_number(timeout):
        raise TypeError(f"timeout must be a number of seconds or None; got {timeout!r}")
    if timeout != timeout:
        raise ValueError("timeout must be a number of seconds or None, not NaN")
    seconds = float(timeout)
    return seconds if seconds < LONGEST else None


def grace_of(grace: Any) -> float:
    """That grace. Raises TypeError for what is no number, ValueError for one that is below 0 or not finite."""
    problem = f"grace must be a number of seconds, 0 or more; got {grace!r}"
    if not is_number(grace):
        raise TypeError(problem)
    if not (math.isfinite(grace) and grace >= 0):
        raise ValueError(problem)
    return float(grace)


def is_number(value: Any) -> bool:
    """Whether it is one by Python's rules for what expects a float."""
    return hasattr(type(value), "__float__") or hasattr(type(value), "__index__")
