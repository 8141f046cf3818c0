"""How much of the family's shared memory is used, and by whom."""

from __future__ import annotations

import os
from dataclasses import dataclass

from procession import _native
from procession.process.family import family

__all__ = ["MemoryUse", "User", "memory_use"]

_OBJECT, _PARCEL, _QUEUE = 1 << 30, 1 << 30, 1 << 31  # bits of owners and of stakes: see native/README.md
_NAME = _PARCEL | _QUEUE
_PAGE = 4096  # of a block with a name


@dataclass(frozen=True)
class User:
    """One process, and how many bytes it holds. What several hold counts for each of them."""

    process: str
    pid: int
    bytes: int


@dataclass(frozen=True)
class MemoryUse:
    """All in bytes."""

    total: int  #: taken of the family's memory
    users: tuple[User, ...]  #: who holds it, the most first
    under_way: int  #: sent, and not yet received
    names: dict[str, int]  #: what has a name, and its size
    room: int | None  #: how much more can be had, by the machine's memory or the container's limit


def memory_use() -> MemoryUse:
    """A look at this moment, some milliseconds long. Without a family all is zero.

    What processes held that the program itself forked, by `os.fork`, and that are gone, is given back first.
    """
    if not family.exists:
        return MemoryUse(0, (), 0, {}, _native.room())
    _native.kin_scavenge()
    held: dict[int, int] = {}
    under_way = 0
    owners = _native.arena_owners()
    for owner, size in owners.items():
        stakes = {owner} if not owner & _OBJECT else set((_native.holders(owner & ~_OBJECT) or (0, []))[1])
        under_way += size if any(_is_parcel(stake) for stake in stakes) else 0
        for slot in {stake for stake in stakes if stake < _OBJECT}:
            held[slot] = held.get(slot, 0) + size
    names = {os.fsdecode(name).removeprefix("/"): size - _PAGE for name, size in _native.name_list()}
    return MemoryUse(sum(owners.values()), _users(held), under_way, names, _native.room())


def _is_parcel(stake: int) -> bool:
    return stake & _NAME in (_PARCEL, _QUEUE)


def _users(held: dict[int, int]) -> tuple[User, ...]:
    records = {record["slot"] + 1: record for record in _native.table_list()}
    found = [User(records[slot]["name"], records[slot]["pid"], size) for slot, size in held.items() if slot in records]
    return tuple(sorted(found, key=lambda user: -user.bytes))
