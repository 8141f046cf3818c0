"""Descriptors that an event loop watches for us: any number of waits for each, behind one descriptor in the loop.

The waits are in an epoll of our own, and the loop has that one. So we need no duplicates, nobody's registration in the loop
is touched (a loop takes each descriptor once, and trio one task for each), and ten thousand waits are one to the loop.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Lookout", "Wait"]

_Call = Callable[[select.epoll], None]
#: Told of, wanted or not: both who reads and who writes has to look.
_FAILED = select.EPOLLERR | select.EPOLLHUP


class Wait:
    """One of those who wait for a descriptor."""

    __slots__ = ("call", "once", "place", "write")

    def __init__(self, place: _Place, write: bool, call: Callable[[], object], once: bool) -> None:
        self.place = place
        self.write = write
        self.call = call
        self.once = once

    def is_told_by(self, events: int) -> bool:
        return bool(events & ((select.EPOLLOUT if self.write else select.EPOLLIN) | _FAILED))


class _Place:
    """A descriptor, and who waits for it, in their order."""

    __slots__ = ("events", "fd", "waits", "writers")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.events = 0  # as the kernel has them
        self.waits: dict[Wait, None] = {}
        self.writers = 0

    def add(self, wait: Wait) -> None:
        self.waits[wait] = None
        self.writers += wait.write

    def discard(self, wait: Wait) -> None:
        if wait in self.waits:
            del self.waits[wait]
            self.writers -= wait.write

    def wanted(self) -> int:
        readers = select.EPOLLIN if self.writers < len(self.waits) else 0
        return readers | (select.EPOLLOUT if self.writers else 0)


class Lookout:
    """The waits of one loop. For its thread only.

    `begin` has the loop call `look` when the descriptor that it is given can be read; `end`, called with the same, undoes it.
    `rest` is called when nobody waits any more: `shut_if_idle` may follow, now or later.
    """

    def __init__(self, begin: _Call, end: _Call, rest: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end
        self._rest = rest
        self._places: dict[int, _Place] = {}
        self._epoll: select.epoll | None = None
        self.forgotten = False

    def place_of(self, fd: int) -> _Place | None:
        """For `leave`: where those wait who wait for it. In any thread."""
        return self._places.get(fd)

    def serves(self, epoll: select.epoll) -> bool:
        """Whether that is still the descriptor to look for."""
        return self._epoll is epoll

    def add(self, fd: int, write: bool, call: Callable[[], object], once: bool) -> Wait | None:
        """Have ``call()`` called when `fd` can be read, or written, `once` or always; None: it cannot be waited for, as regular
        files cannot. Raises OSError (EBADF) when it is no descriptor."""
        place = self._places.get(fd)
        if place is not None and not self._is_same(place):
            self.leave(place)
            place = None
        if place is None:
            place = _Place(fd)
        wait = Wait(place, write, call, once)
        place.add(wait)
        if not self._set(place):
            return None
        self._places[fd] = place
        return wait

    def _is_same(self, place: _Place) -> bool:
        """Whether the number still stands for what it did; else it was closed, and given to something else."""
        assert self._epoll is not None
        try:
            self._epoll.modify(place.fd, place.events)
        except OSError:
            return False
        return True

    def _set(self, place: _Place) -> bool:
        events = place.wanted()
        if place.events == events:
            return True
        epoll = self._open()
        try:
            if place.events:
                epoll.modify(place.fd, events)
            else:
                epoll.register(place.fd, events)
        except FileExistsError:  # (left from before)
            epoll.modify(place.fd, events)
        except PermissionError:
            self._rest_if_idle()
            return False
        except BaseException:
            self._rest_if_idle()
            raise
        place.events = events
        return True

    def remove(self, wait: Wait) -> None:
        """It waits no more. May be called again."""
        place = wait.place
        if not self.forgotten and wait in place.waits:
            place.discard(wait)
            self._trim(place)

    def _trim(self, place: _Place) -> None:
        """Some of its waits are over. (When it was closed, the kernel may have forgotten it already.)"""
        if place.waits:
            with suppress(OSError):
                self._set(place)
            return
        if self._places.get(place.fd) is not place:  # (the number is another's)
            return
        del self._places[place.fd]
        if self._epoll is not None:
            with suppress(OSError):
                self._epoll.unregister(place.fd)
        self._rest_if_idle()

    def leave(self, place: _Place) -> None:
        """It is closed, or will be: who waits for it looks again."""
        if self.forgotten:
            return
        for wait in list(place.waits):
            if wait.once:
                wait.call()
            place.discard(wait)
        self._trim(place)

    def look(self) -> None:
        """The loop says that there is something."""
        for fd, events in self._epoll.poll(0) if self._epoll is not None else ():
            place = self._places.get(fd)
            if place is not None:
                self._tell(place, events)
            elif not self._drop(fd):
                return

    def _tell(self, place: _Place, events: int) -> None:
        """(If a signal's handler raises in here, the kernel tells again.)"""
        told = [wait for wait in place.waits if wait.is_told_by(events)]
        for wait in told:
            if wait in place.waits:  # (else one of the others has ended it)
                wait.call()
        for wait in told:
            if wait.once:
                place.discard(wait)
        self._trim(place)

    def _drop(self, fd: int) -> bool:
        """Nobody waits for it, but the kernel tells of it. Whether that is over; if not, it was closed here, and is open
        elsewhere, so that nothing can be done about it by its number: then all begins anew."""
        if self._epoll is None:
            return False
        with suppress(OSError):
            self._epoll.unregister(fd)
            return True
        self.shut()
        for place in list(self._places.values()):
            place.events = 0
            try:
                self._set(place)
            except OSError:  # (it was closed, too)
                self.leave(place)
        return False

    # --- the descriptor in the loop ---

    def _open(self) -> select.epoll:
        if self._epoll is None:
            self._epoll = select.epoll()
            self._begin(self._epoll)
        return self._epoll

    def _rest_if_idle(self) -> None:
        if not self._places and self._epoll is not None:
            self._rest()

    def shut_if_idle(self) -> None:
        """Close the descriptor, if nobody waits."""
        if not self._places:
            self.shut()

    def shut(self) -> None:
        """Close the descriptor: nobody will be told any more."""
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            self._end(epoll)
            epoll.close()

    def forget(self) -> None:
        """In a forked child: nothing of it is ours, and what the parent's loop watches it goes on watching."""
        self.forgotten = True
        self._places = {}
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            epoll.close()
