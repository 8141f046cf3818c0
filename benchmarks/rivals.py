"""The rivals. Each is a class with `multiprocessing.Process`'s interface: made of a target and arguments, then start(),
join(), pid, exitcode, close(); so that one measuring code serves all.

``Libraries`` make Python processes that call the same function. ``Limits`` are the kernel alone, in C (limits.c).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = [
    "AWAITING", "AWAIT_LIMITS", "LIBRARIES", "LIMITS", "OURS", "OURS_BY_LOOP", "OURS_CORO", "OURS_EXECUTOR", "OURS_SIMPLE",
    "POOLS", "SHARE_LIMITS", "SHARING", "SYNC_LIMITS", "is_limit", "label", "make_rival", "needs_compiler", "synchronisation",
]  # fmt: skip

OURS = "procession"
OURS_SIMPLE = "procession SimpleQueue"
OURS_EXECUTOR = "procession ProcessPoolExecutor"
OURS_BY_LOOP = "procession run_in_executor"
OURS_CORO = "procession async def"

#: Python's ways to a process, and how the tables call them.
LIBRARIES = {
    OURS: "procession",
    "fork": "multiprocessing fork",
    "forkserver": "multiprocessing forkserver",
    "spawn": "multiprocessing spawn",
    "subprocess": "subprocess (python -c)",
}
#: What nobody can beat.
LIMITS = {
    "c_fork": "limit: fork + wait in C",
    "c_vfork": "limit: vfork + wait in C",
    "wake_socket": "floor: wake a sleeper, socket",
    "wake_futex": "floor: wake a sleeper, futex",
}
#: The same for what processes do to each other once they run (limits_sync.c).
SYNC_LIMITS = {
    "c_mutex": "limit: robust pthread mutex in C",
    "c_futex": "limit: futex in C, the other sleeps",
    "c_spin": "limit: a word in C, the other spins",
    "nothing": "floor: calls into C that do nothing",
}
#: Ways to share data (share_rivals.py).
SHARING = {
    OURS_SIMPLE: "procession.SimpleQueue",
    "mp": "multiprocessing",
    "mp_simple": "multiprocessing.SimpleQueue",
    "mp_pipe": "multiprocessing.Pipe",
    "mp_named": "multiprocessing SharedMemory, by its name",
    "faster_fifo": "faster-fifo",
    "iceoryx2": "iceoryx2 (receiver spins)",
    "ultradict": "UltraDict",
}
#: And what bounds them (share_limits.py, limits_share.c).
SHARE_LIMITS = {
    "pickle": "limit: pickle.dumps + loads alone",
    "memcpy": "limit: one memcpy in C, warm",
    "plain_dict": "limit: a dict of one process",
}
#: Pools of processes (pool_rivals.py).
POOLS = {
    OURS_EXECUTOR: "procession.ProcessPoolExecutor",
    "mp_pool": "multiprocessing.Pool",
    "futures": "concurrent.futures",
    "loky": "loky",
    "pebble": "pebble",
    "mpire": "mpire",
    "joblib": "joblib",
    "ray": "Ray",
    "dask": "Dask distributed",
}
#: Ways to await them (await_rivals.py).
AWAITING = {
    OURS_BY_LOOP: "procession, by run_in_executor",
    OURS_CORO: "procession, an async def as target",
    "futures_by_loop": "concurrent.futures, by run_in_executor",
    "aiomultiprocess": "aiomultiprocess",
    "aiomultiprocess_fork": "aiomultiprocess, with fork",
    "exec_true": "asyncio's subprocess: /bin/true, no Python",
    "exec_python": "asyncio's subprocess: python -S -c ''",
    "mp_threads": "multiprocessing, a thread each",
}
#: And what bounds them.
AWAIT_LIMITS = {"loop_future": "floor: a task that awaits a future of its loop"}


def label(name: str) -> str:
    """A rival's name in tables."""
    return (LIBRARIES | LIMITS | SYNC_LIMITS | SHARING | SHARE_LIMITS | POOLS | AWAITING | AWAIT_LIMITS).get(name, name)


def is_limit(name: str) -> bool:
    """Whether it is not a rival but what bounds all of them."""
    return name in LIMITS or name in SYNC_LIMITS or name in SHARE_LIMITS or name in AWAIT_LIMITS


def needs_compiler(name: str) -> bool:
    """Whether it is C of ours, to be built first."""
    return is_limit(name) and name not in ("pickle", "plain_dict", *AWAIT_LIMITS)


def synchronisation(name: str) -> Any:
    """Where a library has its Lock, Event and the rest; and its Process."""
    import importlib
    import multiprocessing

    return importlib.import_module(name) if name == OURS else multiprocessing.get_context(name)


def make_rival(name: str, limits: str | None, fifo: str) -> Callable[..., Any]:
    """The rival's process class. `limits` is the built limits.c; `fifo` is where a sleeper reports to."""
    if name == OURS:
        import procession

        return procession.Process
    if name == "subprocess":
        return Program
    if name in ("fork", "forkserver", "spawn"):
        import multiprocessing

        process_class: Callable[..., Any] = multiprocessing.get_context(name).Process  # type: ignore[attr-defined]
        return process_class
    return _limit(name, limits, fifo)


class Program:
    """`subprocess`: a fresh interpreter that runs the same function, given as source text."""

    def __init__(self, target: Callable[..., object], args: tuple[object, ...] = ()) -> None:
        import inspect

        source = f"import os, time\n{inspect.getsource(target)}\n{target.__name__}(*{args!r})"
        self._argv = [sys.executable, "-c", source]
        self._child: Any = None

    def start(self) -> None:
        import subprocess

        self._child = subprocess.Popen(self._argv)

    def join(self) -> None:
        self._child.wait()

    def close(self) -> None:
        self._child = None

    @property
    def pid(self) -> int:
        pid: int = self._child.pid
        return pid

    @property
    def exitcode(self) -> int | None:
        code: int | None = self._child.returncode
        return code


class _Limit:
    """One process made by a function of limits.c, which is chosen by the target's name."""

    library: Any
    functions: dict[str, str]

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...] = ()) -> None:
        self._make = getattr(self.library, self.functions[target.__name__])
        self._args = [os.fsencode(arg) for arg in args[:1]]  # the pipe to report to
        self.pid = 0
        self.exitcode: int | None = None

    def start(self) -> None:
        self.pid = _checked(self._make(*self._args))

    def join(self) -> None:
        self.exitcode = os.waitstatus_to_exitcode(_checked(self.library.limit_wait(self.pid)))

    def close(self) -> None:
        pass


class _Sleeper:
    """No process is made: one that stands ready is woken."""

    library: Any
    on_word: int
    pid = 0
    exitcode = 0

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...] = ()) -> None:
        pass

    def start(self) -> None:
        _checked(self.library.limit_wake(self.on_word))

    def join(self) -> None:
        pass

    def close(self) -> None:
        pass


def _limit(name: str, built: str | None, fifo: str) -> Callable[..., Any]:
    import ctypes

    if built is None:
        raise ValueError(f"{name}: limits.c was not built")
    library = ctypes.CDLL(built)
    if name == "c_fork":
        functions = {"empty": "limit_fork_empty", "stamp": "limit_fork_stamp", "stand": "limit_fork_stand"}
        return type(name, (_Limit,), {"library": library, "functions": functions})
    if name == "c_vfork":
        return type(name, (_Limit,), {"library": library, "functions": {"empty": "limit_vfork_empty"}})
    on_word = int(name == "wake_futex")
    _checked(library.limit_sleeper(os.fsencode(fifo), on_word))
    return type(name, (_Sleeper,), {"library": library, "on_word": on_word})


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
