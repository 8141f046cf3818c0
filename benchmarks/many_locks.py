"""What do many locks take: 10,000 of ours beside 100 of multiprocessing's; memory, descriptors, the time to make one?"""

from __future__ import annotations

import random

from answer import Answer, Goal, Series
from harness import Options, Parent, interleave, main
from looking import memory
from rivals import OURS

__all__ = ["measure"]

_COUNTS = {OURS: 10_000, "fork": 100}
_BESIDE = "10,000 Locks of ours beside 100"
_FIRST = "the first Lock, with what it imports and sets up: memory"
_MEMORY, _EACH = f"{_BESIDE}: memory that they add", "memory that each adds"
_DESCRIPTORS, _MAPPINGS = f"{_BESIDE}: descriptors that they add", f"{_BESIDE}: mappings that they add"
_TIME = "the time to make one"
#: Locks made for one sample of the time.
_BATCH = 100


def measure(options: Options) -> Answer:
    """New families for each look at the memory, one at a time; the time is measured in each, while both are alive."""
    answer = Answer("many_locks", "10,000 Locks of ours beside 100 of multiprocessing's.")
    dice = random.Random(f"{options.seed} many_locks")
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.choose(5, 1)):
        order = list(_COUNTS)
        dice.shuffle(order)
        for name in order:
            for what, value in _look(name, _COUNTS[name]).items():
                samples.setdefault((what, name), []).append(value)
    for what, unit in {_FIRST: "KiB", _MEMORY: "KiB", _EACH: "bytes", _DESCRIPTORS: "", _MAPPINGS: ""}.items():
        answer.series += [Series(what, name, unit, samples[what, name]) for name in _COUNTS]
    _time(answer, options, dice)
    _goals(answer)
    return answer


def _look(name: str, count: int) -> dict[str, float]:
    """In a new process. Every lock has been acquired once, so that the shared page behind it is there."""
    with Parent(name, program="sync_parent.py") as parent:
        parent.ask("make_room", count=1 + count)
        unused = _facts(parent)
        parent.ask("keep", first=0, count=1)
        before = _facts(parent)
        parent.ask("keep", first=1, count=count)
        after = _facts(parent)
    added = {key: float(after[key] - before[key]) for key in after}
    first = float(before["Rss"] - unused["Rss"])
    return {_FIRST: first, _MEMORY: added["Rss"], _EACH: added["Rss"] * 1024 / count,
            _DESCRIPTORS: added["descriptors"], _MAPPINGS: added["mappings"]}  # fmt: skip


def _facts(parent: Parent) -> dict[str, int]:
    """The exact resident size, shared pages too: what /proc/PID/status says is rounded by some pages per processor."""
    facts: dict[str, int] = parent.ask("facts")
    return facts | memory(parent.pid)


def _time(answer: Answer, options: Options, dice: random.Random) -> None:
    with Parent(OURS, program="sync_parent.py") as ours, Parent("fork", program="sync_parent.py") as fork:
        for parent in (ours, fork):
            parent.ask("create", count=_BATCH)
        found = interleave([ours, fork], options.choose(50, 5), dice, options.settle, "create", count=_BATCH)
    answer.series += [Series(_TIME, name, "µs", [ns / 1e3 / _BATCH for ns in found[name]]) for name in _COUNTS]


def _goals(answer: Answer) -> None:
    for what, scenario, wanted in (
        ("memory", _MEMORY, "less than multiprocessing's 100"),
        ("descriptors", _DESCRIPTORS, "not more than multiprocessing's 100"),
    ):
        ours, theirs = answer.get(scenario), answer.get(scenario, "fork")
        if ours and theirs:
            unit = f" {ours.unit}" if ours.unit else ""
            reached = f"{ours.median:,.0f}{unit} (multiprocessing: {theirs.median:,.0f}{unit})"
            met = ours.median < theirs.median or (not unit and ours.median == theirs.median)
            answer.goals.append(Goal(f"10,000 Locks: {what}", wanted, reached, met))
    answer.ratio_goal("the time to make a Lock, against multiprocessing", _TIME, "fork", 10)
    answer.notes.append("Not counted: what the kernel keeps for each mapping and each file behind one.")


if __name__ == "__main__":
    main(measure)
