"""Rings: the queues in the commons through which tasks, outcomes and replies go, and how workers find them."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.errors import FamilyError
from procession.share.queues import SimpleQueue

__all__ = ["address_of", "found", "ring"]


def ring() -> Any:
    """A queue of tagged messages."""
    made = SimpleQueue()
    made._configure(0, _native.TASKS)
    return made


def address_of(ring: Any) -> tuple[int, ...]:
    """What `found` finds it by, as long as somebody has it. (A ring in the table itself would live as long as this process.)"""
    parcel: tuple[int, ...] = ring.parcel()
    _native.parcels_drop([parcel])
    return parcel


def found(address: tuple[int, ...]) -> Any:
    """The ring, in a worker. None: nobody has it any more."""
    try:
        return _native.queue_receive(SimpleQueue, *address)
    except FamilyError:
        return None
