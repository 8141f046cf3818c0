"""What can be asked for each child or task of a scope, and checks of what is given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from procession.pool.options import Options

__all__ = ["GRACE", "PLAIN", "RESTARTS", "ChildOptions", "check_flag", "check_name", "check_seconds"]

#: Seconds between SIGTERM and SIGKILL unless somebody says otherwise.
GRACE = 1.0
#: When a supervisor starts a child anew.
RESTARTS = ("permanent", "transient", "temporary")


class _Fields(NamedTuple):
    name: str | None = None
    timeout: float | None = None
    shield: bool = False
    grace: float | None = None
    restart: str | None = None
    task: tuple[tuple[str, Any], ...] = ()


class ChildOptions(_Fields):
    """Of one child or task, or of all that are started through a view (`with_options`).

    name
        For people: in error messages, and as the process's name.
    timeout
        Seconds after which it is ended; its handle raises ProcessTimeout (a task's future TaskTimeout).
    shield
        When the scope is ended, it is let finish first.
    grace
        Seconds between SIGTERM and SIGKILL; by default the scope's.
    restart
        Of a supervisor's child: "permanent", "transient" or "temporary".
    task
        Options of tasks alone, by name (`procession.pool.Options`).
    """

    __slots__ = ()

    def changed(self, allowed: tuple[str, ...], **changes: Any) -> ChildOptions:
        """These options with some of them changed. Raises TypeError for one that is not among the `allowed`, TypeError and
        ValueError for values that make no sense."""
        unknown = sorted(set(changes) - set(allowed))
        if unknown:
            raise TypeError(f"there is no option {unknown[0]!r} here: the options are {', '.join(allowed)}")
        own = {name: value for name, value in changes.items() if name in self._fields}
        task = {**dict(self.task), **{name: value for name, value in changes.items() if name not in self._fields}}
        Options(**task)  # (checks them)
        changed = self._replace(**own, task=tuple(task.items()))
        changed._check()
        return changed

    def _check(self) -> None:
        check_name(self.name)
        check_flag("shield", self.shield)
        check_seconds("timeout", self.timeout)
        check_seconds("grace", self.grace)
        if self.restart is not None and self.restart not in RESTARTS:
            raise ValueError(f"restart must be one of {', '.join(RESTARTS)}; got {self.restart!r}")


def check_name(name: Any) -> None:
    """Raises TypeError for what is no name."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a string or None; got {name!r}")


def check_flag(what: str, value: Any) -> None:
    """Raises TypeError for what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False; got {value!r}")


def check_seconds(what: str, value: Any) -> None:
    """Raises ValueError for what is no number of seconds; None is one here."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{what} must be a number of seconds, 0 or more; got {value!r}")


PLAIN = ChildOptions()
