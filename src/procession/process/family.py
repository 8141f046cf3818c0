"""This process as a member of a family: its record in the process table, its cookie, its place below its parent."""

from __future__ import annotations

import os
import threading

from procession import _native
from procession.core import forkhooks

__all__ = ["Family", "family"]


class Family:
    """The one family that this process belongs to, if any. `me` is our handle in the process table."""

    def __init__(self) -> None:
        self.me = _native.NOBODY
        self._lock = threading.Lock()
        self._expected: dict[int, int] = {}  #: the thread that is about to fork -> the member that its child will be
        self._forked = _native.NOBODY  #: the member that the child of the fork under way will be

    @property
    def exists(self) -> bool:
        return self.me != _native.NOBODY

    def ensure(self) -> int:
        """Return our handle; found a family if there is none yet.

        Raises MemoryError when its shared memory cannot be mapped.
        """
        if self.me == _native.NOBODY:
            with self._lock:
                if self.me == _native.NOBODY:
                    self._found()
        return self.me

    def _found(self) -> None:
        _native.commons_found()
        me = _native.table_add(_native.RUNNING, _native.ROOT, _native.NOBODY, "MainProcess")
        _native.self_settle(me, _native.RUNNING)
        _native.commons_root(me)
        self.become(me)

    def become(self, me: int) -> None:
        """We are this member from now on: what we start carries our cookie."""
        self.me = me
        _native.self_wear_cookie(me)
        os.environ[_native.COOKIE] = _native.kin_cookie(me)

    @staticmethod
    def sweep_after(parent: int) -> None:
        """The member `parent` is dead: end what it left."""
        _native.kin_mark_dead(parent)
        _native.kin_sweep()

    def expect(self, member: int) -> None:
        """The child of this thread's next fork will be `member`; NOBODY: one of its own, as of every `os.fork()`."""
        if member == _native.NOBODY:
            self._expected.pop(threading.get_ident(), None)
        else:
            self._expected[threading.get_ident()] = member

    def prepare_fork(self) -> None:
        """What we hold the child holds too, from its first moment on: that needs to know who it will be."""
        self._forked = self._expected.get(threading.get_ident(), _native.NOBODY)
        if not _native.holdings_any():
            return
        _native.kin_look_at_forks()  # (those of before may have ended, and hold what nobody will use)
        try:
            if self._forked == _native.NOBODY:
                self._forked = self._add_fork(_native.ORDERED)
            _native.holdings_fork(self._forked)
        except OSError:
            return  # a full table must not break a fork: what it cannot hold, the child cannot use

    def fork_failed(self) -> None:
        """There was no fork: what was prepared is undone."""
        _native.holdings_not_forked()
        if self._forked != self._expected.get(threading.get_ident(), _native.NOBODY):
            _native.table_free(self._forked)

    def forget_in_fork(self) -> None:
        """In a child of the user's own os.fork(): a member of its own, below the one that forked."""
        self._lock = threading.Lock()
        self._expected.clear()
        if self.me == _native.NOBODY:
            return
        try:
            me = self._add_fork(_native.RUNNING) if self._forked == _native.NOBODY else self._forked
        except OSError:
            return  # a full table must not break a fork: the cookie in its environment still names our parent
        _native.self_settle(me, _native.RUNNING)
        _native.holdings_forked()
        self.become(me)

    def _add_fork(self, state: int) -> int:
        return _native.table_add(state, _native.FORKED, self.me, f"fork of {self._name()}")

    def _name(self) -> str:
        record = _native.table_get(self.me)
        return record["name"] if record else "?"


family = Family()
forkhooks.prepare(family.prepare_fork, family.fork_failed)
forkhooks.after_in_child(family.forget_in_fork)
forkhooks.install()
