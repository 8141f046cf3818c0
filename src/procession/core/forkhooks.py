"""What must happen around every ``os.fork()`` of the user's program.

Before: our threads end, so that a program with one thread forks as one. After, in the parent: they are back. After,
in the child: nothing of the parent's children is the child's; the child gets a record of its own in the process table.
"""

from __future__ import annotations

import os
import posix
from _thread import get_ident
from collections.abc import Callable
from functools import wraps
from typing import Any

from procession import _native

__all__ = ["after_in_child", "around", "install", "prepare"]

_children: list[Callable[[], None]] = []
_before: list[Callable[[], None]] = []
_after: list[Callable[[], None]] = []
_preparations: list[tuple[Callable[[], None], Callable[[], None]]] = []
_restarts: list[Callable[[], None]] = []
#: In a zygote the hooks have nothing to do: its clones are no forks of the user's.
asleep = False
_forking: set[int] = set()  # threads inside our os.fork()


def after_in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Run `function` in every forked child, in the order of registration."""
    _children.append(function)
    return function


def around(before: Callable[[], None], after: Callable[[], None], restart: Callable[[], None]) -> None:
    """Run these in the parent: `before` a fork, `after` it, and `restart` when the next may begin (which it may have done)."""
    _before.append(before)
    _after.append(after)
    _restarts.append(restart)


def prepare(function: Callable[[], None], failed: Callable[[], None]) -> None:
    """Run `function` as the last thing before a fork, of which there is one at a time; `failed` if there was none."""
    _preparations.append((function, failed))


def _pause() -> None:
    if asleep:
        return
    for function in _before:
        function()
    _native.forks_pause()
    for function, _ in _preparations:
        function()


def _resume() -> None:
    if asleep:
        return
    _native.forks_resume()
    for function in _after:
        function()
    if get_ident() not in _forking:
        _restart()


def _restart() -> None:
    _native.forks_restart()
    for function in _restarts:
        function()


def _forget() -> None:
    if asleep:
        return
    _forking.clear()
    _native.forks_forget()
    for function in _children:
        function()


def _wrap(name: str) -> None:
    """Restart the threads once `os.NAME` is through: some Pythons (3.13.0) call the hooks before they count the threads, and
    would warn of a fork with threads."""
    original = getattr(os, name)

    @wraps(original)
    def fork() -> Any:
        me = get_ident()
        _forking.add(me)
        try:
            return original()
        except OSError:
            for _, failed in _preparations:
                failed()
            raise
        finally:
            _forking.discard(me)
            _restart()

    setattr(os, name, fork)
    setattr(posix, name, fork)  # where pickle looks for it


def install() -> None:
    """Register the hooks. Called once, when the package is imported."""
    _wrap("fork")
    _wrap("forkpty")
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_forget)
