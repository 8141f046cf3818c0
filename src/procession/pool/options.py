"""What can be asked for each task."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

__all__ = ["PLAIN", "Options"]

#: Seconds that each step of the ladder has (see stopping.py) unless somebody says otherwise.
GRACE = 0.5


class _Fields(NamedTuple):
    timeout: float | None = None
    retries: int = 0
    priority: int = 0
    memory_limit: int | None = None
    name: str | None = None
    grace: float = GRACE


class Options(_Fields):
    """Of one task, or of all that are submitted through a view (`with_options`).

    timeout
        Seconds that the task may run, counted from when a worker took it. Then it is stopped: an exception in it
        (TaskStopped), `grace` seconds later SIGTERM, `grace` later SIGKILL. Its future raises TaskTimeout.
    retries
        How often it is run anew if the worker that had it died. What it raises itself is its result, and no reason to run it
        again.
    priority
        Of the tasks that wait, those with the highest number go first; the default is 0. What was handed to the workers already
        (two for each, as a rule) is not overtaken.
    memory_limit
        Bytes that it may take beyond what its worker has: more raises MemoryError in it (RLIMIT_DATA, getrlimit(2)).
    name
        For people: in error messages.
    grace
        Seconds that each step of stopping it has.
    """

    __slots__ = ()

    def __new__(cls, *given: Any, **named: Any) -> Options:
        self = super().__new__(cls, *given, **named)
        self._check()
        return self

    def _check(self) -> None:
        for name in ("timeout", "grace"):
            value = getattr(self, name)
            if value is None and name == "timeout":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                none = ", or None for no limit" if name == "timeout" else ""
                raise ValueError(f"{name} must be a number of seconds, 0 or more{none}; got {value!r}")
        _check_int("retries", self.retries, 0)
        _check_int("priority", self.priority, None)
        if self.memory_limit is not None:
            _check_int("memory_limit", self.memory_limit, 1)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a string or None; got {self.name!r}")

    def changed(self, **changes: Any) -> Options:
        """These options with some of them changed. Raises TypeError for one that there is not."""
        unknown = sorted(set(changes) - set(self._fields))
        if unknown:
            known = ", ".join(self._fields)
            raise TypeError(f"there is no option {unknown[0]!r}: the options of a task are {known}")
        return Options(**{**self._asdict(), **changes})


def _check_int(name: str, value: Any, least: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number; got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}")


PLAIN = Options()
