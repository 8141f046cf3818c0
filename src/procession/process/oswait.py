"""Keeps procession's own children out of the way of the user's ``os.wait()``, and its reaper out of the way of the user.

Two things would otherwise surprise a program that waits by itself. The zygote and the idle spares are children of this
process: ``while True: os.wait()`` would never end, or would return their pids. And the reaper is always first: the status
of a `Process` would be gone. So, from the first start on, `os.wait`, `waitpid`, `wait3`, `wait4` and `waitid` do this:

* a pid that is not a Process of ours goes straight to the system call;
* "any child" forms (``wait()``, pid 0, -1 and -pgid, P_ALL, P_PGID) sleep on the pidfds of all visible children, then ask
  the system for the one that ended. No visible child: ChildProcessError;
* a Process that ended is reported once, with its status, unless its end was seen before (by ``join()``, ``is_alive()``,
  ``exitcode``, ...): what `multiprocessing` does too. Unlike there, the Process knows its exit code afterwards.

Limits: a child that another thread starts during the wait is noticed within a second; the resource usage of a Process has
its processor time in one sum and its peak memory, no more; code that took ``from os import wait`` before the first start, C
code, and P_PIDFD have the system's own calls.
"""

from __future__ import annotations

import errno
import os
import posix
import select
import signal
from collections.abc import Callable
from functools import wraps
from operator import index
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from procession import _native
from procession.core import forkhooks
from procession.process.family import family

__all__ = ["children", "forget", "hidden", "install", "note"]

#: Asks the kernel for news of other kinds than the end.
_STOPS = os.WUNTRACED | os.WCONTINUED
#: How long to sleep before a new look for children, ms: as a rule, and when there are too few descriptors to watch them.
_LOOK_AGAIN, _POLL = 1000, 20

_ours: WeakValueDictionary[int, Any] = WeakValueDictionary()  # pid -> Popen
_installed = False


class _Form(NamedTuple):
    """One of the functions: how it asks the system for a child, and how it says that one of ours has ended."""

    ask: Callable[[int, int], Any]
    tell: Callable[[Any], Any]
    nothing: Any


def note(popen: Any) -> None:
    """`popen` is a child of ours from now on: a handler of SIGCHLD may ask for it before its start() has returned."""
    _ours[popen.pid] = popen


def forget(pid: int) -> None:
    """The child `pid` was killed before it became a Process."""
    _ours.pop(pid, None)


def install() -> None:
    """Put the functions in place, once. Does nothing in processes that never start one of ours."""
    global _installed
    if _installed:
        return
    _installed = True
    made = {make.__name__[1:]: make() for make in (_wait, _waitpid, _wait3, _wait4, _waitid)}
    for name, ours in made.items():
        ours = wraps(getattr(os, name))(ours)
        setattr(os, name, ours)
        setattr(posix, name, ours)  # where pickle looks for it


# --- one child, any child ---


def _one(form: _Form, pid: int, options: int) -> Any:
    popen = _ours.get(pid)
    if popen is None or popen.returncode is not None or (options & _STOPS and not popen.child.poll()):
        return form.ask(pid, options)
    if popen.child.poll():
        try:
            return form.ask(pid, options)  # its pid may be another child's by now
        except ChildProcessError:
            return _tell(form, popen, options)
    return _tell(form, popen, options) if popen.child.wait(0 if options & os.WNOHANG else None) else form.nothing


def _tell(form: _Form, popen: Any, options: int) -> Any:
    told = form.tell(popen)
    if not options & os.WNOWAIT:
        popen.poll()  # sets its returncode: its end has been seen
    return told


def _any(form: _Form, group: int | None, options: int) -> Any:
    while True:
        visible = _visible(group) or _visible(group)  # a list of children may miss one while another ends
        for pid in visible:
            try:
                news = _one(form, pid, options | os.WNOHANG)
            except ChildProcessError:  # somebody else was first
                continue
            if news and news[0]:
                return news
        if not visible:
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
        if options & os.WNOHANG:
            return form.nothing
        _sleep(visible, _POLL if options & _STOPS else _LOOK_AGAIN)


def _visible(group: int | None) -> set[int]:
    """All children that the user knows of, of the process group `group` or (None) of any."""
    popens = [ref() for ref in _ours.valuerefs()]  # (a copy: other threads start children meanwhile)
    unseen = {popen.pid for popen in popens if popen is not None and popen.returncode is None}
    found = unseen | (children() - hidden())
    return found if group is None else {pid for pid in found if _group_of(pid) == (group or os.getpgrp())}


def children() -> set[int]:
    """Pids of all children of this process, zombies and our helpers included."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children") as file:
                found.update(map(int, file.read().split()))
        except OSError:  # the thread has ended
            continue
    return found


def hidden() -> set[int]:
    """Our zygote and spares, and a Process until `note`."""
    from procession.process.nursery import nursery

    members = {r["pid"] for r in _native.table_list() if r["parent"] == family.me and not r["flags"] & _native.FORKED}
    return (nursery.helpers() | members | set(_native.reaper_keepers())) - set(_ours.keys())


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:  # reaped by the reaper: it was in ours, unless somebody moved it
        return os.getpgrp()


def _sleep(pids: set[int], patience: int) -> None:
    """Until one of them has ended, at most `patience` ms. A signal handler that raises interrupts it."""
    fds: list[int] = []
    poller = select.poll()
    try:
        for pid in pids:
            fds.append(os.pidfd_open(pid))
            poller.register(fds[-1], select.POLLIN)
    except ProcessLookupError:
        patience = 0
    except OSError:
        patience = _POLL
    try:
        poller.poll(patience)
    finally:
        for fd in fds:
            os.close(fd)


# --- the functions; each keeps what it needs at the end of the interpreter in its closure ---


def _status(popen: Any) -> tuple[int, int]:
    return popen.pid, popen.child.status


def _waitpid() -> Callable[..., Any]:
    original, known = os.waitpid, _ours.data.__contains__  # type: ignore[attr-defined]
    form = _Form(original, _status, (0, 0))

    def waitpid(pid: int, options: int, /) -> Any:
        if (pid := index(pid)) > 0:
            return _one(form, pid, options) if known(pid) else original(pid, options)
        return _any(form, None if pid == -1 else -pid, options)

    return waitpid


def _wait() -> Callable[..., Any]:
    form = _Form(os.waitpid, _status, (0, 0))
    return lambda: _any(form, None, 0)


def _usage(popen: Any) -> Any:
    from resource import struct_rusage

    run, _, peak, *_ = popen.child.figures
    return struct_rusage((run / 1e9, 0.0, peak, *[0] * 13))


def _wait4() -> Callable[..., Any]:
    original, known = os.wait4, _ours.data.__contains__  # type: ignore[attr-defined]
    form = _form4(original)

    def wait4(pid: int, options: int) -> Any:
        if (pid := index(pid)) > 0:
            return _one(form, pid, options) if known(pid) else original(pid, options)
        return _any(form, None if pid == -1 else -pid, options)

    return wait4


def _wait3() -> Callable[..., Any]:
    form = _form4(os.wait4)

    def wait3(options: int) -> Any:
        return _any(form, None, options)

    return wait3


def _form4(original: Callable[..., Any]) -> _Form:
    from resource import struct_rusage

    nothing = (0, 0, struct_rusage((0.0, 0.0, *[0] * 14)))
    return _Form(original, lambda popen: (*_status(popen), _usage(popen)), nothing)


def _waitid() -> Callable[..., Any]:
    original, known = os.waitid, _ours.data.__contains__  # type: ignore[attr-defined]
    form = _Form(lambda pid, options: original(os.P_PID, pid, options), _told_by_id, None)

    def waitid(idtype: int, id: int, options: int, /) -> Any:
        if idtype == os.P_PID and options & os.WEXITED and known(id):
            return _one(form, id, options)
        if idtype not in (os.P_ALL, os.P_PGID) or not options & os.WEXITED:
            return original(idtype, id, options)
        return _any(form, None if idtype == os.P_ALL else index(id), options)

    return waitid


def _told_by_id(popen: Any) -> Any:
    status = popen.child.status
    if os.WIFEXITED(status):
        code, value = os.CLD_EXITED, os.WEXITSTATUS(status)
    else:
        code, value = os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED, os.WTERMSIG(status)
    return os.waitid_result((popen.pid, os.getuid(), signal.SIGCHLD, value, code))


forkhooks.after_in_child(_ours.clear)
