"""A spare: a process that stands ready before it is asked for, and what happens when it is.

Made by the zygote, or (start method ``spawn``) a fresh interpreter that takes the same message. It rehearses a start, so
that the pages which a start writes are its own already, then waits for the message or for the parent's end.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import select
import signal
import struct
import sys
from typing import Any, NamedTuple, NoReturn

from procession import _native
from procession.core import fds, forkhooks, main_module, messages, pickling
from procession.core.stdlib import mp_process, mp_util
from procession.process import world, zygote
from procession.process.family import family
from procession.process.process import Process

__all__ = ["Start", "live", "prepare", "spawned"]

HELLO = struct.Struct("=i")
_STANDARD = (0, 1, 2)


class Start(NamedTuple):
    """The start message."""

    world: world.World
    payload: bytes  #: the pickled process
    parent_pid: int
    standard: int  #: bit n: standard stream n is among the descriptors
    flags: int  #: DAEMON, DETACHED
    name: str


def prepare(boot: dict[str, Any]) -> None:
    """What a zygote or a spawned child does once, before it knows for whom."""
    os.environ.pop("LD_BIND_NOW", None)
    told = boot["baseline"]
    sys.argv = list(told.argv)
    sys.path[:] = told.path
    main_module.fresh_main(boot["main"])
    if boot["compat"]:
        from procession import compat

        compat.install()
    _open_null()


_null: io.TextIOWrapper | None = None


def _open_null() -> None:
    """The children's ``sys.stdin`` (as `multiprocessing` has it: input() raises EOFError), opened once for all."""
    global _null
    _null = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)


def live(boot: dict[str, Any], member: int, sock: int) -> NoReturn:
    """The life of a spare, from its first instruction to its exit. Never returns into the zygote's stack."""
    try:
        os.close(fds.CONTROL_FD)
        _native.self_settle(member, _native.IDLE)
        _native.channel_send(sock, HELLO.pack(os.getpid()), [])
        if not _is_waiting(sock):  # in a burst there is no time for it
            with contextlib.suppress(Exception):  # what is wrong with a start is for the start to tell
                rehearse(member)
        _wait(boot, member, sock)
    except ConnectionError:
        os._exit(0)  # nobody wants us
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _wait(boot: dict[str, Any], member: int, sock: int) -> NoReturn:
    mine = _native.world_read(True)
    start, received = _receive(sock)
    if start is None:
        _end_unused(boot)
    os.close(sock)
    _native.table_start(member, start.flags, start.name)
    if start.flags & _native.DETACHED:
        os.setsid()
    elif not _native.self_die_with(start.parent_pid, signal.SIGKILL):
        os._exit(1)  # the parent died meanwhile: so do we
    process = _become(member, start, received, mine)
    _native.table_state(member, _native.RUNNING)
    code = 1 if process is None else process._bootstrap(fds.PARENT_FD)
    _native.self_leave(member, code & 0xFF)


def _is_waiting(sock: int) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _receive(sock: int) -> tuple[Start | None, list[int]]:
    """Wait for the message, or the parent's end."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    poller.register(fds.PARENT_FD, select.POLLIN)
    if sock not in [fd for fd, _ in poller.poll()]:
        return None, []
    message, received = messages.receive(sock)
    return (Start(*pickle.loads(message)) if message else None), received


def _end_unused(boot: dict[str, Any]) -> NoReturn:
    """Nobody started us. Either the parent let us go, or it is dead: then we sweep too, the zygote may be dead as well."""
    poller = select.poll()
    poller.register(fds.PARENT_FD, select.POLLIN)
    if poller.poll(1000):
        zygote.sweep_after(boot["parent_member"])
    os._exit(0)


def _become(member: int, start: Start, received: list[int], mine: bytes) -> Process | None:
    """Take on the parent's world and unpickle the process that we are; None, reported, when that fails."""
    fds.received[:] = _take_streams(received, start.standard)
    world.take_on(world.World(*start.world), mine)
    family.become(member)
    try:
        process: Process = pickling.loads(start.payload)
    except BaseException:
        _report(start.name)
        return None
    forkhooks.sleep(False)
    _reseed()
    sys.stdin = open(0, closefd=False) if process._stdin is not None else _null
    return process


def _reseed() -> None:
    """numpy's global generator, if the zygote has it, must not give the same numbers in every child. (The standard
    library's `random` sees to itself.)"""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _report(name: str) -> None:
    import traceback

    sys.stderr.write(f"Process {name}: its target could not be unpickled\n")
    traceback.print_exc()
    mp_util()._flush_std_streams()


def rehearse(member: int) -> None:
    """Play a start through, with a process that does nothing: each page that it writes is copied now, not then."""
    mine = _native.world_read(True)
    ours, theirs = _native.channel_pair()
    _native.channel_send(ours, messages.pack(_rehearsal(), member), [0, 1, 2])
    start, received = _receive(theirs)
    os.close(ours)
    os.close(theirs)
    if start is None:  # the parent is dead
        return
    process = _become(member, start, received, mine)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forkhooks.sleep(True)
    if process is not None:
        process._rehearse(fds.PARENT_FD)
    family.me = _native.NOBODY  # or each clone of the zygote would count as a fork of the user's
    _native.proc_sched(os.getpid())


_rehearsed = b""


def forget_rehearsal() -> None:
    """The world has changed since it was made."""
    global _rehearsed
    _rehearsed = b""


def _rehearsal() -> bytes:
    """The start message of a rehearsal, made once, in the zygote."""
    global _rehearsed
    if not _rehearsed:
        process = Process(target=int, name="rehearsal")
        mp_process._dangling.discard(process)
        key = process._config.pop("authkey", None)
        around = tuple(world.current(None)._replace(gc_enabled=False))
        payload = pickling.dumps(process)
        process._config["authkey"] = key
        _rehearsed = pickle.dumps((around, payload, os.getpid(), 0b111, 0, process.name))
    return _rehearsed


def _take_streams(received: list[int], standard: int) -> list[int]:
    """Put the parent's standard streams in place; the rest of `received` is for the payload."""
    rest = iter(received)
    for fd in _STANDARD:
        if standard & (1 << fd):
            theirs = next(rest)
            fits = _fits(fd, theirs)
            os.dup2(theirs, fd)
            os.close(theirs)
            if not fits:
                _reopen(fd)
        else:
            os.close(fd)  # (the helper filled what was closed: fds.fill_standard)
            if fd:
                _set_stream(fd, None)
    return list(rest)


def _fits(fd: int, theirs: int) -> bool:
    """Whether our text layer for `fd` fits `theirs`: standard output is flushed at each line on a terminal only."""
    if fd == 1:
        return sys.__stdout__ is not None and sys.__stdout__.line_buffering == os.isatty(theirs)
    return fd == 0 or sys.__stderr__ is not None


def _reopen(fd: int) -> None:
    old = sys.__stdout__ if fd == 1 else sys.__stderr__
    errors = old.errors if old is not None else ("strict" if fd == 1 else "backslashreplace")
    encoding = old.encoding if old is not None else None
    stream = open(fd, "w", encoding=encoding, errors=errors, closefd=False, buffering=-1)
    stream.reconfigure(line_buffering=fd == 2 or os.isatty(fd), write_through=False)
    _set_stream(fd, stream)


def _set_stream(fd: int, stream: io.TextIOWrapper | None) -> None:
    name = "stdout" if fd == 1 else "stderr"
    setattr(sys, name, stream)
    setattr(sys, "__" + name + "__", stream)


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
    _wait(boot, boot["member"], fds.CONTROL_FD)

