"""One child of one Process object, by each start method. The interface is that of `multiprocessing`'s Popen classes, which
its `context`, `reduction`, `pool` and `synchronize` know.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core import coroutines, fds, messages
from procession.core.stdlib import mp_context, mp_util
from procession.errors import StartError, UnpicklableError
from procession.process import oswait, portable, streams, world
from procession.process.family import family
from procession.process.nursery import boot_message, launch_helper, nursery, send_boot

if TYPE_CHECKING:
    from procession.process.process import Process

__all__ = ["ForkPopen", "Popen", "SpawnPopen", "ZygotePopen"]


class Popen:
    """A started child: how it is waited for, signalled, and asked how it ended. Never blocks but in `wait`."""

    method = "zygote"
    DupFd = staticmethod(fds.PassedFd)

    def __init__(self, process: Process) -> None:
        mp_util()._flush_std_streams()
        self._fds: list[int] = []
        self._kept: list[Any] = []
        self._parcels: list[Any] = []  #: shared objects that are under way to the child
        self._modules: set[str] = set()
        oswait.install()  # before there is a child that a handler of SIGCHLD could take
        self._start(process)

    def _start(self, process: Process) -> None:
        """Start it, with `_own` as soon as the child exists."""
        raise NotImplementedError

    def _own(self, child: _native.Child) -> None:
        self.returncode: int | None = None  # (a handler may have seen the end of one that never began)
        self._child = child
        self.pid = child.pid
        oswait.note(self)

    def duplicate_for_child(self, fd: int) -> int:
        """Pass `fd` to the child; its index there. (For `multiprocessing.reduction`.)"""
        self._fds.append(fd)
        return len(self._fds) - 1

    # --- what multiprocessing's Process asks of it ---

    def poll(self, flag: int = 0) -> int | None:
        """The exit code, or None while the child runs."""
        if self.returncode is None and self._child.poll():
            self.returncode = _exit_code(self._child.status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait up to `timeout` seconds (None: for ever); the exit code, or None when time is up."""
        if self.returncode is None:
            me = family.me
            _native.table_waiting(me, _native.WAIT_JOIN, self._child.member)
            try:
                ended = self._child.wait(timeout)
            finally:
                _native.table_waiting(me, _native.WAIT_NOTHING, _native.NOBODY)
            if ended:
                self.returncode = _exit_code(self._child.status)
        return self.returncode

    @property
    def sentinel(self) -> int:
        return self._child.sentinel()

    @property
    def child(self) -> _native.Child:
        return self._child

    def terminate(self) -> None:
        self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._child.signal(signal.SIGKILL)

    def interrupt(self) -> None:
        self._child.signal(signal.SIGINT)

    def close(self) -> None:
        self._kept.clear()


def _flags(process: Process) -> int:
    """What the process's record says of it."""
    return (_native.DAEMON if process.daemon else 0) | (_native.DETACHED if process.detached else 0)


def _exit_code(status: int | None) -> int | None:
    return None if status is None else os.waitstatus_to_exitcode(status)


class _MessagePopen(Popen):
    """A child that learns what it is by a message: zygote and spawn."""

    def _start(self, process: Process) -> None:
        payload = self._pickle(process)
        standard, temporary = streams.standard_streams(process._stdin)
        try:
            self._launch(process, payload, standard)
        except BaseException:
            _native.parcels_drop(self._parcels)
            raise
        finally:
            if temporary >= 0:
                os.close(temporary)

    def _launch(self, process: Process, payload: bytes, standard: list[int]) -> None:
        raise NotImplementedError

    def _pickle(self, process: Process) -> bytes:
        if coroutines.is_coroutine_function(process._target) or coroutines.is_coroutine_function(type(process).run):
            coroutines.expect(self._modules)
        mp_context.set_spawning_popen(self)
        _native.parcels_note(self._parcels)
        try:
            return portable.dumps(process, self._modules)
        except Exception as error:
            try:
                raise self._unpicklable(process, error) from error  # (which pickles each part once more)
            finally:
                _native.parcels_drop(self._parcels)
        finally:
            _native.parcels_note(None)
            mp_context.set_spawning_popen(None)

    def _unpicklable(self, process: Process, error: Exception) -> Exception:
        from procession.core import pickling

        if not isinstance(error, (pickle.PicklingError, TypeError, AttributeError, NotImplementedError, ValueError)):
            return error
        found = pickling.first_unpicklable(process._parts()) or ("state", f"{type(error).__name__}: {error}")
        return UnpicklableError(process.name, *found)

    def _message(self, process: Process, payload: bytes, standard: list[int], told: world.Baseline,
                 member: int) -> tuple[bytes, list[int]]:
        given = sum(1 << fd for fd, theirs in enumerate(standard) if theirs >= 0)
        alone = threading.active_count() == 1
        start = _native.start_message(alone, _flags(process), given, process.name, world.changes(told), payload)
        return messages.pack(start, member), [fd for fd in standard if fd >= 0] + self._fds


class ZygotePopen(_MessagePopen):
    """The default: a spare, cloned ahead of time by the zygote."""

    method = "zygote"

    def _launch(self, process: Process, payload: bytes, standard: list[int]) -> None:
        nursery.learn(self._modules)
        while True:
            child, told = nursery.take()
            message, fds = self._message(process, payload, standard, told, child.member)
            _native.parcels_address(self._parcels, child.member)
            try:
                _native.table_flag(child.member, _flags(process))  # before anybody can take it for an orphan
                self._own(child)
                child.hand_over(message, fds)
            except (BrokenPipeError, ConnectionError):
                oswait.forget(child.pid)
                if self._parcels:  # what was for that child may be gone with it
                    self._parcels.clear()
                    payload = self._pickle(process)
                continue  # it was killed while it waited: take the next
            nursery.refill()
            return


class SpawnPopen(_MessagePopen):
    """A fresh interpreter."""

    method = "spawn"

    def _launch(self, process: Process, payload: bytes, standard: list[int]) -> None:
        nursery.guard()
        ours, theirs = _native.channel_pair()
        member = _native.NOBODY
        try:
            member = _native.table_add(_native.ORDERED, _flags(process), family.me, process.name)
            _, child = launch_helper("spare", "spawned", theirs, member)
            told = world.baseline()
            send_boot(ours, boot_message(member, told, []))
            message, fds = self._message(process, payload, standard, told, member)
            self._own(child)
            _native.parcels_address(self._parcels, member)
            _native.channel_send(ours, message, fds)
        except BaseException:
            _native.table_free(member)
            raise
        finally:
            os.close(ours)
            os.close(theirs)


class ForkPopen(Popen):
    """A copy of this process, made by os.fork()."""

    method = "fork"

    def duplicate_for_child(self, fd: int) -> int:
        return fd

    def _start(self, process: Process) -> None:
        nursery.guard()
        member = _native.table_add(_native.ORDERED, _flags(process), family.me, process.name)
        parent, parent_pidfd = os.getpid(), os.pidfd_open(os.getpid())
        # The kernel sends the signal when the *thread* that forked ends: armed only if that thread lasts as long as we do.
        # Otherwise the zygote, which watches us, ends the child with us.
        death = signal.SIGKILL if threading.get_native_id() == parent else 0
        standard, temporary = streams.standard_streams(process._stdin)
        family.expect(member)
        try:
            pid = os.fork()
        except BaseException as error:
            if os.getpid() != parent:  # a signal's exception, in the child: never into the user's copy of the stack
                os._exit(1)
            os.close(parent_pidfd)
            _native.table_free(member)
            if isinstance(error, OSError):
                raise StartError(error.errno, f"fork: {error.strerror}") from error
            raise
        finally:
            family.expect(_native.NOBODY)
            if temporary >= 0 and os.getpid() == parent:
                os.close(temporary)
        if pid == 0:
            _forked(process, member, parent, death, parent_pidfd, standard)
        os.close(parent_pidfd)
        self._own(_native.Child.adopt(pid, -1, member))


def _forked(
    process: Process, member: int, parent: int, death: int, parent_pidfd: int, standard: list[int]
) -> None:
    """The child's side of a fork. Never returns into the user's copy of the stack."""
    code = 1
    try:
        _native.table_start(member, _flags(process), process.name)
        _native.self_settle(member, _native.RUNNING)
        family.become(member)
        if process.detached:
            os.setsid()
        elif not _native.self_die_with(parent, death):
            os._exit(1)
        _fresh_signals()
        if process._stdin is not None:
            os.dup2(standard[0], 0)
            sys.stdin = open(0, closefd=False)
        else:
            mp_util()._close_stdin()
        code = process._bootstrap(parent_pidfd)
        _native.self_leave(member, code & 0xFF)
    finally:
        os._exit(code & 0xFF)


def _fresh_signals() -> None:
    """Give up the parent's handlers and its mask. What it ignores stays ignored, as in a program that is executed."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


POPEN: dict[str, Callable[[Process], Popen]] = {"zygote": ZygotePopen, "spawn": SpawnPopen, "fork": ForkPopen}
