"""The zygote: the program of the helper process that makes children for one starting process.

It has one thread, imports what children need, and then only waits: for an order on its control socket (it clones a spare
whose parent is *our* parent), or for the end of that parent (it sweeps what the parent left, and ends). Killing it
loses nothing but the orders on their way: the parent notices and launches another.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import struct
import sys
from typing import Any, NoReturn

from procession import _native
from procession.core import fds, forkhooks, messages
from procession.process import lessons, world

__all__ = ["main"]

ORDER = struct.Struct("=IIQQ")
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
    from procession.process import spare

    _native.self_settle(boot["member"], _native.RUNNING)
    spare.prepare(boot)
    preload(boot["preload"])
    _native.clone_prepare()
    _let_streams_go()
    forkhooks.sleep(True)
    gc.disable()
    _serve_waiting(boot)
    for _ in range(REHEARSALS):
        spare.rehearse(boot["member"])
    gc.collect()
    gc.freeze()


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
    poller = _poller(fds.CONTROL_FD, fds.PARENT_FD)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if fds.PARENT_FD in ready:
            break
        if not _answer(boot):
            poller.unregister(fds.CONTROL_FD)  # the parent is ending: wait until it has
    sweep_after(boot["parent_member"])


def _poller(*wanted: int) -> select.poll:
    poller = select.poll()
    for fd in wanted:
        poller.register(fd, select.POLLIN)
    return poller


def _serve_waiting(boot: dict[str, Any]) -> None:
    """The very first start waits for us: answer its order before the rehearsals."""
    if _poller(fds.CONTROL_FD).poll(0):
        _answer(boot)


def _answer(boot: dict[str, Any]) -> bool:
    """Answer the next order. False when there will be none."""
    try:
        message, received = _native.channel_receive(fds.CONTROL_FD)
    except ConnectionError:
        return False
    if received:
        _make_spare(boot, message, received[0])
    elif message:
        _take_lesson(message)
    return bool(message)


def _take_lesson(message: bytes) -> None:
    """Import what the parent's next child needs, in the parent's present world."""
    from procession.process import spare

    names, told = pickle.loads(messages.unpack(message))
    world.catch_up(told)
    spare.forget_rehearsal()  # or each spare would take on the former world again
    preload(names)
    gc.collect()
    gc.freeze()


def sweep_after(parent: int) -> None:
    """The parent is dead: end what it left."""
    _native.kin_mark_dead(parent)
    _native.kin_sweep()


def _make_spare(boot: dict[str, Any], message: bytes, sock: int) -> None:
    slot, generation, *limit = ORDER.unpack(message)
    member = generation << 32 | slot
    try:
        _native.limit_processes(*limit)  # the parent's: it counts against the one who clones
        pid = _native.clone_sibling(member)
    except OSError as error:
        _native.channel_send(sock, struct.pack("=i", -(error.errno or 1)), [])
        pid = -1
    if pid == 0:
        from procession.process import spare

        spare.live(boot, member, sock)
    os.close(sock)


if __name__ == "__main__":
    sys.exit("the zygote is started by procession itself")
