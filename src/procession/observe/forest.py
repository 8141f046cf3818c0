"""Processes as trees, and each with what one wants to know of it: members of families, the plain processes below them,
and zombies that somebody else has not waited for."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from procession.observe import procfs
from procession.observe.families import Family, Member, Survey

__all__ = ["Node", "Zombie", "describe", "family_roots", "foreign_zombies", "tree_of"]


class Node(NamedTuple):
    """A process with what is below it."""

    stat: procfs.Stat
    member: Member | None  #: None for a plain process
    children: list[Node]


class Zombie(NamedTuple):
    """A process that has ended, and the one that has not waited for it."""

    stat: procfs.Stat
    parent: procfs.Stat | None


def _below(survey: Survey) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for stat in survey.stats.values():
        found.setdefault(stat.parent, []).append(stat.pid)
    return found


def _members(survey: Survey) -> dict[int, Member]:
    return {pid: member for family in survey.families for pid, member in family.members.items()}


def tree_of(survey: Survey, pid: int) -> Node | None:
    """The tree below any process; None if there is no such process."""
    if pid not in survey.stats:
        return None
    return _grow(survey, pid, _below(survey), _members(survey))


def _grow(survey: Survey, pid: int, below: dict[int, list[int]], members: dict[int, Member]) -> Node:
    children = [_grow(survey, child, below, members) for child in sorted(below.get(pid, []))]
    return Node(survey.stats[pid], members.get(pid), children)


def family_roots(survey: Survey, family: Family) -> list[Node]:
    """Its trees: one, and one more for each detached process whose parent is gone. None for a family that lies within
    another's tree."""
    below, members = _below(survey), _members(survey)
    inside = [pid for pid in family.members if pid in survey.stats]
    tops = [pid for pid in inside if not _has_above(survey, pid, members)]
    return [_grow(survey, pid, below, members) for pid in sorted(tops)]


def _has_above(survey: Survey, pid: int, members: dict[int, Member]) -> bool:
    for _ in range(len(survey.stats)):
        pid = survey.stats[pid].parent
        if pid in members:
            return True
        if pid not in survey.stats:
            break
    return False


def foreign_zombies(survey: Survey) -> list[Zombie]:
    """Zombies that belong to no family, nor to what a family's members started: there the reaper is at work."""
    ours = _members(survey)
    found = []
    for stat in survey.stats.values():
        if stat.letter == "Z" and stat.pid not in ours and stat.parent not in ours and _still(stat):
            found.append(Zombie(stat, survey.stats.get(stat.parent)))
    return found


def _still(stat: procfs.Stat) -> bool:
    """It is a zombie now, too: every process is one for an instant."""
    again = procfs.stat(stat.pid)
    return again is not None and again.letter == "Z" and again.start_time == stat.start_time


def describe(stat: procfs.Stat, member: Member | None) -> dict[str, Any]:
    """Everything about one process, for printing."""
    from procession.process import states

    zombie = stat.letter in "ZX"
    return {
        "pid": stat.pid,
        "parent": stat.parent,
        "name": member.record.name if member else stat.name,
        "kind": member.kind if member else "plain",
        "detached": member.detached if member else False,
        "state": "zombie" if zombie else states.of_process(stat.pid),
        "waits_for": (member.waits_for or None) if member else None,
        "waits_seconds": _since(member.record.wait_since) if member and member.waits_for else None,
        "cpu_seconds": round(stat.cpu, 2),
        "memory_kib": 0 if zombie else procfs.memory_kib(stat.pid),
        "age_seconds": round(_age(stat, member), 3),
        "command": procfs.command(stat.pid),
    }


def _age(stat: procfs.Stat, member: Member | None) -> float:
    """Of a process of the user's, since its start(): as a spare it may have stood ready for long."""
    return _since(member.record.born) if member is not None and member.kind == "process" else procfs.age(stat)


def _since(moment: int) -> float:
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - moment / 1e9)
