"""Lock and RLock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from procession import _native
from procession.sync import losses, people, tasks
from procession.sync.handles import Watchable, make

__all__ = ["Lock", "RLock"]


def _flags(on_owner_death: str) -> int:
    if on_owner_death not in ("warn", "raise"):
        raise ValueError(f'on_owner_death must be "warn" or "raise"; got {on_owner_death!r}')
    return _native.RAISES if on_owner_death == "raise" else 0


class _LockHandle(Watchable):
    """What the two locks share beyond their native types."""

    __slots__ = ()

    def __new__(cls, *, ctx: Any = None, on_owner_death: str = "warn") -> Any:
        return make(cls, cls._cell, flags=_flags(on_owner_death))  # type: ignore[attr-defined]

    @property
    def holder(self) -> people.Holder | None:
        """Who has it, or None. A look at this moment; does not block."""
        return people.holder_of(self)

    def mark_consistent(self) -> None:
        """Say that what a dead holder left half done is in order again: nobody else is told of the death.

        Only with ``on_owner_death="raise"`` is there a need. To put things in order under the lock use `repair`.
        """
        self._mark(False)  # type: ignore[attr-defined]
        _native.cell_epitaph(self, False)

    @contextmanager
    def repair(self) -> Iterator[None]:
        """``with lock.repair():`` takes the lock without a word about a holder's death, and if the block ends well marks it
        consistent. Waits as `acquire` does."""
        lock: Any = self
        with people.silence():
            lock.acquire()
        try:
            yield
        except BaseException:
            lock._mark(True)
            raise
        else:
            lock._mark(False)
        finally:
            lock.release()

    def _owner_is_dead(self) -> None:
        people.tell(self, type(self).__name__, self._raises)  # type: ignore[attr-defined]

    # --- in an event loop ---

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """`acquire` for an event loop: waits there without a thread. Cancelled, it has taken nothing."""
        losses.forget(self)
        return await self._acquire_as(self._token(), timeout)  # type: ignore[attr-defined]

    async def _acquire_as(self, token: int, timeout: float | None) -> bool:
        return await tasks.take(self, lambda: self._try(token), timeout)  # type: ignore[attr-defined]

    async def __aenter__(self) -> bool:
        return await self.acquire_async()

    async def __aexit__(self, *error: object) -> None:
        if not losses.take(self):
            self.release()  # type: ignore[attr-defined]


class Lock(_LockHandle, _native.Lock):
    """A lock for threads and processes, as `multiprocessing.Lock`, that never outlives its holder.

    It can be sent to any process of the family at any time, and be released by another thread or process than took it. When
    the process that holds it ends, however it ends, the next to acquire it gets it at once, with an OwnerDiedWarning; with
    ``on_owner_death="raise"`` it gets OwnerDied instead and nothing else, as does everybody until `mark_consistent`. What the
    parent holds at a fork its child does not hold, and waits for. Ctrl-C interrupts a wait.

    Raises OSError (ENOSPC) when the family has no room for another. Source: U. Drepper, "Futexes Are Tricky" (2011); POSIX on
    EOWNERDEAD (pthread_mutex_lock).
    """

    __slots__ = ()
    _cell = _native.LOCK

    def _token(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={people.short(self)}{people.queue(self)})>"


class RLock(_LockHandle, _native.RLock):
    """A lock that its holder can take again, as `multiprocessing.RLock`; otherwise as `Lock`. It belongs to a thread, or when
    it was acquired by `acquire_async` to a task: only that can release it (AssertionError)."""

    __slots__ = ()
    _cell = _native.RLOCK

    def _token(self) -> int:
        return tasks.token()

    def __repr__(self) -> str:
        owner = people.short(self)
        depth = self._count() if self._is_mine() else 0 if owner == "None" else "nonzero"
        return f"<{type(self).__name__}({owner}, {depth}{people.queue(self)})>"
