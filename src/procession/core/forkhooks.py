"""What must happen around every ``os.fork()`` of the user's program.

Before: the reaper's thread ends, so that a program with one thread forks as one. After, in the parent: it is back. After,
in the child: nothing of the parent's children is the child's; the child gets a record of its own in the process table.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from procession import _native

__all__ = ["after_in_child", "install"]

_children: list[Callable[[], None]] = []
_before: list[Callable[[], None]] = []
_after: list[Callable[[], None]] = []


def after_in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Run `function` in every forked child, in the order of registration."""
    _children.append(function)
    return function


def around(before: Callable[[], None], after: Callable[[], None]) -> None:
    """Run `before` in the parent before a fork and `after` in it after."""
    _before.append(before)
    _after.append(after)


def _pause() -> None:
    for function in _before:
        function()
    _native.reaper_pause()


def _resume() -> None:
    _native.reaper_resume()
    for function in _after:
        function()


def _forget() -> None:
    _native.reaper_forget()
    for function in _children:
        function()


def install() -> None:
    """Register the hooks. Called once, when the package is imported."""
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_forget)
