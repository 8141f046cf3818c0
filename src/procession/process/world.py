"""What a child takes on of its parent's world at the moment of start().

The kernel's part (streams, umask, niceness, affinity, limits, ignored signals) is read and taken on natively (native/start.h).
Of Python's part only what differs from what the zygote was told is sent: as a rule, nothing.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from multiprocessing import util
from typing import Any, NamedTuple

from procession import _native
from procession.process import context

__all__ = ["Baseline", "baseline", "catch_up", "changes", "take_on", "take_signals"]


_COOKIE = _native.COOKIE.encode()


class Baseline(NamedTuple):
    """Python's part of a world: what a zygote was told, or is so now."""

    cwd: str | None
    environ: dict[bytes, bytes]
    path: list[Any]
    argv: list[Any]
    log_to_stderr: bool
    log_level: int | None
    gc_enabled: bool
    recursion_limit: int
    start_method: str  #: the default


#: A new interpreter's, as far as a zygote does not take it on when it is told.
_FRESH: dict[str, Any] = {
    "log_to_stderr": False, "log_level": None, "gc_enabled": True, "recursion_limit": 1000, "start_method": "zygote",
}  # fmt: skip


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the directory is gone: the child has the zygote's, which is as gone or better
        return None


def _now() -> Baseline:
    """Without copies of what is large."""
    logger = util._logger  # type: ignore[attr-defined]
    return Baseline(
        _cwd(),
        os.environ._data,  # type: ignore[attr-defined]
        sys.path,
        getattr(sys, "argv", []),
        util._log_to_stderr,  # type: ignore[attr-defined]
        None if logger is None else logger.getEffectiveLevel(),
        gc.isenabled(),
        sys.getrecursionlimit(),
        context.default_context.get_start_method(allow_none=True) or "zygote",
    )


def baseline() -> Baseline:
    """Our world now, to be told to a new zygote."""
    now = _now()
    return now._replace(
        environ=dict(now.environ),
        path=[part for part in now.path if isinstance(part, str)],
        argv=[str(arg) for arg in now.argv],
        **_FRESH,
    )


def changes(told: Baseline) -> bytes:
    """What differs from `told` in our world now, pickled; empty when nothing does."""
    now = _now()
    if now == told:
        return b""
    mine = baseline()._replace(**{name: getattr(now, name) for name in _FRESH})
    if mine == told:
        return b""
    facts = mine._asdict()
    return pickle.dumps({name: value for name, value in facts.items() if value != getattr(told, name)})


def catch_up(told: Baseline) -> None:
    """A zygote is told anew: what is derived from it from now on is in this world."""
    sys.path[:] = told.path
    sys.argv = list(told.argv)
    _replace_environ(told.environ)
    if told.cwd is not None:
        try:
            os.chdir(told.cwd)
        except OSError:
            return


def take_on(changed: bytes) -> None:
    """Become part of the parent's world: `changed` is what `changes` gave there."""
    facts: dict[str, Any] = pickle.loads(changed) if changed else {}
    if facts.get("cwd") is not None:
        try:
            os.chdir(facts["cwd"])
        except OSError as error:
            util.info("cannot enter the parent's directory: %s", error)
    if "environ" in facts:
        _replace_environ(facts["environ"])
    if "path" in facts:
        sys.path[:] = facts["path"]
    if "argv" in facts:
        sys.argv = facts["argv"]
    if facts.get("log_to_stderr"):
        util.log_to_stderr()
    if facts.get("log_level") is not None:
        util.get_logger().setLevel(facts["log_level"])
    if "recursion_limit" in facts:
        sys.setrecursionlimit(facts["recursion_limit"])
    if "start_method" in facts:
        context.force_start_method(facts["start_method"])
    if not facts.get("gc_enabled", True):
        gc.disable()


def take_signals(changed: int, ignored: int) -> None:
    """As in a program that is executed: what the parent ignores is ignored, all else is at its default. Bit n - 1 of `changed`
    is set for signal n if it is otherwise now."""
    while changed:
        bit = changed & -changed
        changed ^= bit
        number = bit.bit_length()
        usual: Any = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if ignored & bit else usual)


def _replace_environ(wanted: dict[bytes, bytes]) -> None:
    """All of it but the cookie, which is our own."""
    have = os.environb
    for key in [key for key in have if key not in wanted and key != _COOKIE]:
        del have[key]
    for key, value in wanted.items():
        if have.get(key) != value and key != _COOKIE:
            have[key] = value
