"""The zygote: the program of the helper process that makes children for one starting process.

It has one thread, imports what children need, and then only waits: for an order on its control socket (it clones a spare
whose parent is *our* parent), or for the end of that parent (it sweeps what the parent left, and ends). Killing it
loses nothing but the orders on their way: the parent notices and launches another.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import sys
from typing import Any, NoReturn

from procession import _native
from procession.core import atfork, fds, forkhooks, messages
from procession.process import lessons, rehearsal, spare, world
from procession.process.family import family

__all__ = ["main"]

#: How often the zygote plays a start through before it makes the first spare: the interpreter has then specialised the
#: code and filled its caches, and the children need not write these pages.
REHEARSALS = 16


def main() -> NoReturn:
    """Run as a zygote until the parent is gone. (It was launched deaf to SIGINT: Ctrl-C is for the user's processes.)"""
    fds.fill_standard()
    _native.commons_join(fds.COMMONS_FD)
    message, _ = messages.receive(fds.CONTROL_FD)
    if not message:  # the parent is gone, or has changed its mind
        os._exit(0)
    boot = pickle.loads(message)
    prepare(boot)
    serve(boot)
    os._exit(0)


def prepare(boot: dict[str, Any]) -> None:
    """Import all that a child needs, so that it shares our pages, and leave nothing for the collector to touch."""
    for fd in (fds.CONTROL_FD, fds.COMMONS_FD, fds.PARENT_FD):
        os.set_inheritable(fd, False)
    _native.self_settle(boot["member"], _native.RUNNING)
    spare.prepare(boot)
    preload(boot["preload"])
    _native.clone_prepare()
    _let_streams_go()
    forkhooks.asleep = True
    gc.disable()
    _practise(boot)


def _practise(boot: dict[str, Any]) -> None:
    """All is imported: rehearse, leave nothing for the collector to touch, and as few page-table entries as can be."""
    spare.note_state()
    _answer(boot, once=True)  # whoever waits for us goes first, with all that were ordered
    with contextlib.suppress(Exception):  # without them a start is slower, no more
        for _ in range(REHEARSALS):
            rehearsal.rehearse(boot["member"])
    gc.collect()
    gc.freeze()
    _native.gather()


def _let_streams_go() -> None:
    """Whoever reads the program's output must see its end when the program ends, not when its helpers do. Each child gets
    the streams that the parent has at its start."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def preload(names: list[str]) -> None:
    """Import modules ahead for all children. One that cannot be imported is the child's own affair."""
    for name in names:
        try:
            __import__(name)
        except BaseException:
            continue
    if names and _threads() > 1:
        _shed_threads()
        if _threads() > 1:
            os._exit(lessons.REFUSED)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _shed_threads() -> None:
    """Libraries with a thread pool (OpenBLAS) end it in their fork handler and start it anew when needed: run those
    handlers once, so that we clone with one thread."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def serve(boot: dict[str, Any]) -> None:
    """Answer orders until the parent is gone; then end what it left."""
    while (news := _answer(boot, once=False)) != _native.ORPHAN:
        if news == _native.LET_GO:  # the parent is ending: wait until it has
            select.select([fds.PARENT_FD], [], [])
            break
    family.sweep_after(boot["parent_member"])


def _answer(boot: dict[str, Any], *, once: bool) -> int:
    """Make the spares that are ordered, until something else comes (or, with `once`, until none is left); what came."""
    came = _native.zygote_serve(fds.CONTROL_FD, fds.PARENT_FD, spare.PATIENCE, atfork.by_the_book(), once)
    if len(came) == 4:
        spare.live(boot, *came)
    if came[0] == _native.LESSON:
        _take_lesson(boot, came[1])
    return int(came[0])


def _take_lesson(boot: dict[str, Any], message: bytes) -> None:
    """Import what the parent's next child needs, in the parent's present world."""
    names, told = pickle.loads(messages.unpack(message))
    world.catch_up(told)
    preload(names)
    _practise(boot)


if __name__ == "__main__":
    sys.exit("the zygote is started by procession itself")
