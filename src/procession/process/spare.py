"""A spare: a process that stands ready before it is asked for, and what happens when it is.

Made by the zygote, or (start method ``spawn``) a fresh interpreter that takes the same message. It rehearses a start, so
that the pages which a start writes are its own already, then waits for the message or for the parent's end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import sys
from typing import Any, NoReturn

from procession import _native
from procession.core import fds, forkhooks, main_module, messages
from procession.core.stdlib import mp_util
from procession.process import bootstrap, context, portable, rehearsal, streams, world
from procession.process.family import family
from procession.process.process import Process

__all__ = ["become", "live", "note_state", "prepare", "spawned"]

#: Seconds that a new spare waits for its start before it rehearses: in a burst it is for nothing.
PATIENCE = 0.003


def prepare(boot: dict[str, Any]) -> None:
    """What a zygote or a spawned child does once, before it knows for whom."""
    os.environ.pop("LD_BIND_NOW", None)
    told = boot["baseline"]
    sys.argv = list(told.argv)
    sys.path[:] = told.path
    sys.setrecursionlimit(told.recursion_limit)
    main_module.fresh_main(boot["main"])
    if boot["compat"]:
        from procession import compat

        compat.install()
    _open_null()
    context.force_start_method("zygote")
    portable.hold_ready(boot["state"])
    bootstrap.set_fresh(True)
    _give_children_interrupts()


def _give_children_interrupts() -> None:
    """What the children do at SIGINT, to which we are and stay deaf: Ctrl-C is for the user's processes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _native.start_prepare(os.environ._data, streams.on_terminal())  # type: ignore[attr-defined]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _open_null() -> None:
    """The children's ``sys.stdin`` (as `multiprocessing` has it: input() raises EOFError), opened once for all."""
    sys.stdin = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)


def live(boot: dict[str, Any], news: int, member: int, sock: int, start: Any) -> NoReturn:
    """The life of a spare, from its first instruction in Python to its exit. Never returns into the zygote's stack.

    `start` is its start, taken natively, if it came at once and was short. What is written here is written for few pages: a new
    process copies each that it touches.
    """
    try:
        if news == _native.BORN:
            with contextlib.suppress(Exception):  # what is wrong with a start is for the start to tell
                rehearsal.rehearse(member)
            _native.self_count_from_here(member)
            start = _native.spare_wait(sock, fds.PARENT_FD, -1)
            news = start[0]
            os.close(sock)
        if news != _native.START:
            _end_unused(boot)
        if len(start) == 3:
            start = _native.start_take(member, messages.unpack(start[1]), start[2], False)
        _begin(member, start)
    except KeyboardInterrupt:
        pass  # the parent's traceback tells of it
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _begin(member: int, start: Any) -> NoReturn:
    """Become what the start message says, which the native core has taken so far."""
    process = become(member, *start)
    _native.table_state(member, _native.RUNNING)
    code = 1 if process is None else bootstrap.live(process, fds.PARENT_FD)
    _native.self_leave(member, code & 0xFF)


def _end_unused(boot: dict[str, Any]) -> NoReturn:
    """Nobody started us. Either the parent let us go, or it is dead: then we sweep too, the zygote may be dead as well."""
    poller = select.poll()
    poller.register(fds.PARENT_FD, select.POLLIN)
    if poller.poll(1000):
        family.sweep_after(boot["parent_member"])
    os._exit(0)


def become(
    member: int, payload: bytes, received: list[int], rest: tuple[Any, ...] | None, name: str, *, rehearsing: bool = False
) -> Process | None:
    """Take on what is left of the parent's world and unpickle the process that we are; None, reported, when that fails."""
    family.me = member
    if received:
        fds.received = received
    if rest is not None:
        changes, given, terminals, signals, ignored = rest
        streams.mend(given, terminals)
        world.take_signals(signals, ignored)
        world.take_on(changes)
    try:
        process: Process = portable.loads(payload)
    except BaseException:
        if rehearsing:
            raise
        bootstrap.report(f"Process {name}: its target could not be unpickled\n")
        mp_util()._flush_std_streams()
        return None
    forkhooks.asleep = False
    for seed in _seeds:
        seed()
    if process._stdin is not None:
        sys.stdin = open(0, closefd=False)
    return process


_seeds: list[Any] = []


def note_state() -> None:
    """Look once, in the zygote, at what each child would have to look at: what we are to the kernel, and the global random
    generators that we have (they must not give the same numbers in every child)."""
    _native.start_prepare(os.environ._data, streams.on_terminal())  # type: ignore[attr-defined]
    loaded = [sys.modules.get(name) for name in ("random", "numpy.random")]
    _seeds[:] = [module.seed for module in loaded if module is not None]


def spawned() -> NoReturn:
    """The program of a child by the method ``spawn``: one message to boot, the next to start."""
    fds.fill_standard()
    _native.commons_join(fds.COMMONS_FD)
    message, _ = messages.receive(fds.CONTROL_FD)
    for fd in (fds.CONTROL_FD, fds.COMMONS_FD, fds.PARENT_FD):
        os.set_inheritable(fd, False)
    if not message:
        os._exit(0)
    boot = pickle.loads(message)
    prepare(boot)
    _native.self_settle(boot["member"], _native.IDLE)
    gc.collect()
    gc.disable()  # (the start enables it)
    news, message, received = _native.spare_wait(fds.CONTROL_FD, fds.PARENT_FD, -1)
    if news != _native.START:
        _end_unused(boot)
    os.close(fds.CONTROL_FD)
    _begin(boot["member"], _native.start_take(boot["member"], messages.unpack(message), received, False))
