"""What a child takes on of its parent's world at the moment of start().

The kernel's part (umask, niceness, affinity, limits) is read natively. Environment, path and arguments are sent only when
they differ from what the zygote was told when it was launched.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from multiprocessing import util
from typing import NamedTuple

from procession import _native
from procession.process import context

__all__ = ["Baseline", "World", "baseline", "current", "take_on"]


_COOKIE = _native.COOKIE.encode()


class World(NamedTuple):
    """The differences, and what is always sent. None stands for "as the zygote was told"."""

    kernel: bytes
    ignored: int  #: signals that are ignored, bit n - 1 for signal n
    cwd: str | None
    environ: dict[bytes, bytes] | None
    path: list[str] | None
    argv: list[str] | None
    log_to_stderr: bool
    log_level: int | None
    gc_enabled: bool
    recursion_limit: int
    start_method: str | None  #: as far as one was set or used


class Baseline(NamedTuple):
    """What the zygote was told."""

    cwd: str | None
    environ: dict[bytes, bytes]
    path: list[str]
    argv: list[str]


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the directory is gone: the child has the zygote's, which is as gone or better
        return None


def _argv() -> list[str]:
    return [str(arg) for arg in getattr(sys, "argv", [])]


def baseline() -> Baseline:
    """Our world now, to be told to a new zygote."""
    environ: dict[bytes, bytes] = dict(os.environ._data)  # type: ignore[attr-defined]
    return Baseline(_cwd(), environ, list(sys.path), _argv())


def current(told: Baseline | None) -> World:
    """Our world now, as far as it differs from `told`."""
    environ: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
    cwd, argv = _cwd(), _argv()
    if told is None:
        told = Baseline("", {}, [], [])
    logger = util._logger  # type: ignore[attr-defined]
    return World(
        kernel=_native.world_read(threading.active_count() == 1),
        ignored=_native.world_ignored(),
        cwd=None if cwd == told.cwd else cwd,
        environ=None if environ == told.environ else dict(environ),
        path=None if sys.path == told.path else [p for p in sys.path if isinstance(p, str)],
        argv=None if argv == told.argv else argv,
        log_to_stderr=util._log_to_stderr,  # type: ignore[attr-defined]
        log_level=None if logger is None else logger.getEffectiveLevel(),
        gc_enabled=gc.isenabled(),
        recursion_limit=sys.getrecursionlimit(),
        start_method=context.default_context.get_start_method(allow_none=True),
    )


def catch_up(told: Baseline) -> None:
    """A zygote is told anew: what is derived from it from now on is in this world."""
    sys.path[:] = told.path
    sys.argv = list(told.argv)
    _replace_environ({**told.environ, _COOKIE: os.environb.get(_COOKIE, b"")})
    if told.cwd is not None:
        try:
            os.chdir(told.cwd)
        except OSError:
            return


def take_on(world: World, mine: bytes) -> None:
    """Become part of `world`. `mine` is our own kernel part, read before."""
    if world.cwd is not None:
        try:
            os.chdir(world.cwd)
        except OSError as error:
            util.info("cannot enter the parent's directory: %s", error)
    _native.world_take(world.kernel, mine)
    _ignore(world.ignored)
    if world.environ is not None:
        _replace_environ(world.environ)
    if world.path is not None:
        sys.path[:] = world.path
    if world.argv is not None:
        sys.argv = list(world.argv)
    if world.start_method is not None:
        context.force_start_method(world.start_method)
    if world.log_to_stderr:
        util.log_to_stderr()
    if world.log_level is not None:
        util.get_logger().setLevel(world.log_level)
    if world.recursion_limit != sys.getrecursionlimit():
        sys.setrecursionlimit(world.recursion_limit)
    if world.gc_enabled:
        gc.enable()


def _ignore(wanted: int) -> None:
    """As in a program that is executed: what the parent ignores is ignored, all else is at its default."""
    for number in _signals(wanted ^ _native.world_ignored()):
        signal.signal(number, signal.SIG_IGN if wanted >> (number - 1) & 1 else signal.SIG_DFL)
    if not wanted >> (signal.SIGINT - 1) & 1:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _signals(bits: int) -> list[int]:
    return [number for number in range(1, 65) if bits >> (number - 1) & 1] if bits else []


def _replace_environ(wanted: dict[bytes, bytes]) -> None:
    have = os.environb
    for key in [key for key in have if key not in wanted]:
        del have[key]
    for key, value in wanted.items():
        if have.get(key) != value:
            have[key] = value
