"""A spare: a process that stands ready before it is asked for, and what happens when it is.

Made by the zygote, or (start method ``spawn``) a fresh interpreter that takes the same message. It rehearses a start, so
that the pages which a start writes are its own already, then waits for the message or for the parent's end.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import select
import signal
import struct
import sys
from multiprocessing import process as mp_process
from multiprocessing import util
from typing import Any, NamedTuple, NoReturn

from procession import _native
from procession.core import fds as fds_module
from procession.core import main_module, messages, pickling
from procession.process import launch, world, zygote
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
    detached: bool
    name: str


def prepare(boot: dict[str, Any]) -> None:
    """What a zygote or a spawned child does once, before it knows for whom."""
    import logging  # noqa: F401  (what almost every child needs is imported once for all)
    import random  # noqa: F401
    import threading  # noqa: F401
    import traceback  # noqa: F401

    told = boot["baseline"]
    sys.argv = list(told.argv)
    sys.path[:] = told.path
    main_module.fresh_main(boot["main"])
    if boot["compat"]:
        from procession import compat

        compat.install()
    _open_null()


_null: io.TextIOWrapper | None = None
_rehearsal = b""


def _open_null() -> None:
    """The children's ``sys.stdin`` (as `multiprocessing` has it: input() raises EOFError), opened once for all."""
    global _null, _rehearsal
    _rehearsal = _make_rehearsal()
    _null = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)


def live(boot: dict[str, Any], member: int, sock: int) -> NoReturn:
    """The life of a spare, from its first instruction to its exit. Never returns into the zygote's stack."""
    try:
        os.close(launch.CONTROL_FD)
        _native.self_settle(member, _native.IDLE)
        _native.channel_send(sock, HELLO.pack(os.getpid()), [])
        _rehearse()
        _wait(boot, member, sock)
    except ConnectionError:
        os._exit(0)  # nobody wants us
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _wait(boot: dict[str, Any], member: int, sock: int) -> NoReturn:
    mine = _native.world_read(True)
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    poller.register(launch.PARENT_FD, select.POLLIN)
    ready = {fd for fd, _ in poller.poll()}
    message, fds = messages.receive(sock) if sock in ready else (b"", [])
    if not message:
        _end_unused(boot)
    os.close(sock)
    run(member, Start(*pickle.loads(message)), fds, mine)


def _end_unused(boot: dict[str, Any]) -> NoReturn:
    """Nobody started us. Either the parent let us go, or it is dead: then we sweep too, the zygote may be dead as well."""
    poller = select.poll()
    poller.register(launch.PARENT_FD, select.POLLIN)
    if poller.poll(1000):
        zygote.sweep_after(boot["parent_member"])
    os._exit(0)


def run(member: int, start: Start, fds: list[int], mine: bytes) -> NoReturn:
    """Become the process that the message describes, run it, exit."""
    if start.detached:
        os.setsid()
    elif not _native.self_die_with(start.parent_pid, signal.SIGKILL):
        os._exit(1)  # the parent died meanwhile: so do we
    fds_module.received[:] = _take_streams(fds, start.standard)
    world.take_on(world.World(*start.world), mine)
    family.become(member)
    code = _run_payload(start.payload, start.name)
    _native.self_last_words(member, (code & 0xFF) << 8)
    os._exit(code & 0xFF)


def _run_payload(payload: bytes, name: str) -> int:
    try:
        process = pickling.loads(payload)
    except BaseException:
        return _report(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, closefd=False) if process._stdin is not None else _null
    code: int = process._bootstrap(launch.PARENT_FD)
    return code


def _report(name: str) -> int:
    import traceback

    sys.stderr.write(f"Process {name}: its target could not be unpickled\n")
    traceback.print_exc()
    util._flush_std_streams()  # type: ignore[attr-defined]
    return 1


def _take_streams(fds: list[int], standard: int) -> list[int]:
    """Put the parent's standard streams in place; the rest of `fds` is for the payload."""
    rest = iter(fds)
    for fd in _STANDARD:
        if standard & (1 << fd):
            theirs = next(rest)
            same = _same_kind(theirs, fd)
            os.dup2(theirs, fd)
            os.close(theirs)
            if not same and fd:
                _reopen(fd)
        else:
            try:
                os.close(fd)
            except OSError:
                continue
    return list(rest)


def _same_kind(theirs: int, ours: int) -> bool:
    """Whether the text layer made for `ours` fits `theirs` too: it depends on being a terminal only."""
    try:
        mine = os.isatty(ours)
        os.fstat(ours)
    except OSError:
        return False
    return os.isatty(theirs) == mine and getattr(sys, ("stdin", "stdout", "stderr")[ours]) is not None


def _reopen(fd: int) -> None:
    name = "stdout" if fd == 1 else "stderr"
    old = getattr(sys, "__" + name + "__")
    errors = old.errors if old is not None else ("strict" if fd == 1 else "backslashreplace")
    encoding = old.encoding if old is not None else None
    stream = open(fd, "w", encoding=encoding, errors=errors, closefd=False, buffering=-1)
    stream.reconfigure(line_buffering=fd == 2 or os.isatty(fd), write_through=False)
    setattr(sys, name, stream)
    setattr(sys, "__" + name + "__", stream)


def _rehearse() -> None:
    """Do what a start does, with a process that does nothing: each page that it writes is copied now, not then."""
    for _ in range(2):
        process = pickling.loads(_rehearsal)
        process._rehearse()
        pickle.loads(pickle.dumps(world.current(None)))


def _make_rehearsal() -> bytes:
    process = Process(target=int, name="rehearsal")
    config = process._config  # type: ignore[attr-defined]
    authkey = config.pop("authkey", None)
    data = pickling.dumps(process)
    config["authkey"] = authkey
    mp_process._dangling.discard(process)  # type: ignore[attr-defined]
    return data


def spawned() -> NoReturn:
    """The program of a child by the method ``spawn``: one message to boot, the next to start."""
    _native.commons_join(launch.COMMONS_FD)
    message, _ = messages.receive(launch.CONTROL_FD)
    for fd in (launch.CONTROL_FD, launch.COMMONS_FD, launch.PARENT_FD):
        os.set_inheritable(fd, False)
    boot = pickle.loads(message)
    prepare(boot)
    _native.self_settle(boot["member"], _native.IDLE)
    gc.collect()
    _wait(boot, boot["member"], launch.CONTROL_FD)

