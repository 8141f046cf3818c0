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
import signal
import struct
import sys
from typing import Any, NoReturn

from procession import _native
from procession.core import messages
from procession.process import launch

__all__ = ["Boot", "main"]

ORDER = struct.Struct("=II")


class Boot(dict[str, Any]):
    """What a new zygote is told, as a pickled dict: parent, member, argv, main, preload, compat, baseline."""


def main() -> NoReturn:
    """Run as a zygote until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the user's processes
    _native.commons_join(launch.COMMONS_FD)
    message, _ = messages.receive(launch.CONTROL_FD)
    boot = pickle.loads(message)
    prepare(boot)
    serve(boot)
    os._exit(0)


def prepare(boot: dict[str, Any]) -> None:
    """Import all that a child needs, so that it shares our pages, and leave nothing for the collector to touch."""
    for fd in (launch.CONTROL_FD, launch.COMMONS_FD, launch.PARENT_FD):
        os.set_inheritable(fd, False)
    from procession.process import spare

    spare.prepare(boot)
    preload(boot["preload"])
    _native.clone_prepare()
    _native.self_settle(boot["member"], _native.RUNNING)
    _native.table_rename(boot["member"], "zygote")
    gc.collect()
    gc.disable()
    gc.freeze()


def preload(names: list[str]) -> None:
    """Import modules ahead for all children. One that cannot be imported is the child's own affair."""
    for name in names:
        try:
            __import__(name)
        except Exception:
            continue
    if names and len(os.listdir("/proc/self/task")) > 1:
        _shed_threads()


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
    poller = select.poll()
    poller.register(launch.CONTROL_FD, select.POLLIN)
    poller.register(launch.PARENT_FD, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if launch.PARENT_FD in ready:
            break
        message, fds = _order()
        if not message:
            poller.unregister(launch.CONTROL_FD)  # the parent is ending: wait until it has
        elif len(message) == ORDER.size and len(fds) == 1:
            _make_spare(boot, message, fds[0])
    sweep_after(boot["parent_member"])


def _order() -> tuple[bytes, list[int]]:
    try:
        return _native.channel_receive(launch.CONTROL_FD)
    except ConnectionError:
        return b"", []


def sweep_after(parent: int) -> None:
    """The parent is dead: end what it left."""
    _native.kin_mark_dead(parent)
    _native.kin_sweep()


def _make_spare(boot: dict[str, Any], message: bytes, sock: int) -> None:
    slot, generation = ORDER.unpack(message)
    try:
        pid = _native.clone_sibling()
    except OSError as error:
        _native.channel_send(sock, struct.pack("=i", -(error.errno or 1)), [])
        pid = -1
    if pid == 0:
        from procession.process import spare

        spare.live(boot, generation << 32 | slot, sock)
    os.close(sock)


if __name__ == "__main__":
    sys.exit("the zygote is started by procession itself")
