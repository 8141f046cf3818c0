"""What every class has whose objects lie in the family's memory and can be waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procession import _native

__all__ = ["Waitable"]


class Waitable:
    """What lies in the family's memory, and can be waited for among other things. Whoever derives from it has three methods:

    ``_watch(channel)``
        Begin a wait that rings `channel` of our doorbell; its number. None: there is no need, it is done.
    ``_is_ready(wait)``
        Whether it is done. If not, the wait goes on, and is told of the next change.
    ``_unwatch(wait, reported)``
        The end of that wait. What it was told, and nobody was `reported`, is passed on to another. Takes nothing.

    ``_takes_turns``: a wake-up goes to one of those who wait, so who has got it must not keep it. ``_whole``: the object that,
    once it is closed, ends this.
    """

    __slots__ = ()

    _takes_turns = False

    @property
    def _whole(self) -> Any:
        return self

    def _watch(self, channel: int) -> int | None:
        raise NotImplementedError

    def _is_ready(self, wait: int) -> bool:
        raise NotImplementedError

    def _unwatch(self, wait: int, reported: bool) -> None:
        _native.wait_abandon(wait)

    def _pass_on(self) -> None:
        """It was reported, and nobody came to know: what it was told is another's."""

    def add_done_callback(self, function: Callable[[Any], object]) -> None:
        """Call ``function(self)`` once, as soon as `procession.wait` would report this object; at once if it would now. Nothing
        is taken by that.

        It is called in a thread of procession's, one for all callbacks; what it raises is reported on stderr. The object is
        kept until then; if it is closed before, the function is called then. In the child of a fork it is not called. Does
        not block. Raises TypeError if `function` cannot be called, RuntimeError if no thread can be had.
        """
        from procession.process import callbacks

        callbacks.add(self, function)
