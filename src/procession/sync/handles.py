"""What all synchronisation objects share: they are handles that can be sent to any member of the family."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.process.family import family
from procession.process.waitable import Waitable
from procession.sync import people

__all__ = ["Handle", "Watchable", "make"]


def make(cls: type[Any], kind: int, word: int = 0, count: int = 0, flags: int = 0) -> Any:
    """A new object of `cls` in the family's memory; founds a family if there is none.

    Raises OSError (ENOSPC) when there is no room, MemoryError when the memory cannot be mapped.
    """
    family.ensure()
    return _native.cell_make(cls, kind, word, count, flags)


class Handle:
    """A handle of a cell. It pickles at any time; the copy stands for the same object. Loading it outside the family raises
    FamilyError."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return _native.cell_attach, (type(self), *_native.cell_handle(self))

    @property
    def waiters(self) -> tuple[people.Waiter, ...]:
        """Who waits for it, the first come first. A look at this moment; does not block."""
        return people.waiters_of(self)


class Watchable(Handle, Waitable):
    """One that `procession.wait` can wait for among others: until it could be taken. A wait takes nothing."""

    __slots__ = ()
    _takes_turns = True

    def _watch(self, channel: int) -> int | None:
        """A wait of ours, which rings `channel`."""
        return self._await(channel)  # type: ignore[attr-defined, no-any-return]

    def _is_ready(self, wait: int) -> bool:
        """Whether it could be taken now; if not, the wait goes on."""
        if self.locked():  # type: ignore[attr-defined]
            _native.wait_again(wait)
            self._announce()  # type: ignore[attr-defined]
        return not self.locked()  # type: ignore[attr-defined]

    def _unwatch(self, wait: int, reported: bool) -> None:
        """The end of the wait: if it was woken, another is woken in its place."""
        self._give_up(wait)  # type: ignore[attr-defined]
