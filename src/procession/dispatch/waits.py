"""Who waits for whom: blocks that run wait for others, and these for their turn in a queue. In a circle nobody would go on.

A block that waits keeps its place in its queue, and in the queue's targets. What it waits for can begin when there is room in
all queues on its way: a queue has as much as its width, less those of its blocks, or of the queues that have it as target, that
wait and will not get on. Blocks that do not wait end by themselves, and those that are being stopped end, too, so they count
for nothing. (Suspended queues may go on: they do not count either.)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from procession.pool.lanes import Lane
from procession.pool.task import Task

__all__ = ["Waits", "Wanted"]


class Wanted(NamedTuple):
    """A block that is waited for, or is about to be: `task` is None while it has not been submitted."""

    lane: Lane
    barrier: bool
    task: Task | None


#: Those who wait, and for what.
Waiting = dict[Task, list[Wanted]]


class Waits:
    """In one pool. The engine's lock guards it."""

    def __init__(self) -> None:
        self._waits: dict[tuple[int, int], tuple[Task | None, Wanted]] = {}  # (worker, number of its wait) -> (who, for what)

    def begin(self, key: tuple[int, int], who: Task | None, wanted: Wanted) -> None:
        self._waits[key] = who, wanted

    def end(self, key: tuple[int, int]) -> bool:
        """Whether there was one."""
        return self._waits.pop(key, None) is not None

    def end_all(self, worker: int) -> None:
        for key in [key for key in self._waits if key[0] == worker]:
            del self._waits[key]

    def workers(self) -> int:
        """How many wait."""
        return len({worker for worker, _ in self._waits})

    def would_stick(self, who: Task | None, wanted: Wanted) -> bool:
        """Whether `who` would wait for ever for that block, because others wait for `who`."""
        if who is None or who.lane is None:
            return False
        waiting: Waiting = {who: [wanted]}
        for other, its in self._waits.values():
            if other is not None and other.lane is not None and not _is_being_stopped(other):
                waiting.setdefault(other, []).append(its)
        while who in waiting:
            ending = [each for each, wants in waiting.items() if all(_may_end(one, waiting) for one in wants)]
            if not ending:
                return True
            for each in ending:
                del waiting[each]
        return False

    def stuck(self) -> tuple[tuple[int, int], Task, Wanted] | None:
        """One that waits in a circle all the same: its key, who, for what."""
        found = ((key, who, wanted) for key, (who, wanted) in self._waits.items() if who is not None)
        return next((each for each in found if self.would_stick(*each[1:])), None)

    def chain(self, who: Task, wanted: Wanted) -> tuple[str, ...]:
        """The names of the queues of those who wait for `who`, then its own, then that of `wanted`."""
        names = [wanted.lane.name]
        seen: set[Task] = set()
        task: Task | None = who
        while task is not None and task.lane is not None and task not in seen:
            names.append(task.lane.name)
            seen.add(task)
            task = next((other for other, its in self._waits.values() if its.task is task), None)
        return tuple(reversed(names))


def _may_end(wanted: Wanted, waiting: Waiting) -> bool:
    """Whether what is wanted ends, if those who are `waiting` do not."""
    if wanted.task is not None and wanted.task in waiting:
        return False
    above: Lane | None = None  # the one whose order has to go through this one
    stuck = 0  # how many of that one's orders will not end
    for lane in _way(wanted.lane):
        inside = [each for each in waiting if lane in _way(each.lane)]
        if lane.width is not None and len(inside) >= lane.width:
            return False
        if inside and (
            (wanted.barrier and above is None)
            or any(each.barrier and each.lane is lane for each in inside)
            or (_is_barred(wanted) if above is None else _has_no_way(above, lane, stuck))
        ):
            return False
        above, stuck = lane, len(inside)
    return True


def _is_being_stopped(task: Task) -> bool:
    return task.extra is not None and task.extra.stopping is not None


def _is_barred(wanted: Wanted) -> bool:
    """Whether a barrier waits before it."""
    ahead = itertools.takewhile(lambda task: task is not wanted.task, wanted.lane.backlog)
    return (wanted.task is None or not wanted.task.number) and any(_bars(task) for task in ahead)


def _has_no_way(lane: Lane, target: Lane, stuck: int) -> bool:
    """Whether a barrier waits in the target before all of the lane's orders, but for those that will not end."""
    behind = set(itertools.dropwhile(lambda task: not _bars(task), target.backlog))
    return bool(behind) and len(lane.orders - behind) <= stuck


def _bars(task: Task) -> bool:
    return task.barrier and task.is_wanted()  # (what was cancelled goes when its turn comes)


def _way(lane: Lane | None) -> Iterator[Lane]:
    while lane is not None:
        yield lane
        lane = lane.target
