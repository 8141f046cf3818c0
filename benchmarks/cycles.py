"""Does anything grow over ten thousand starts and joins? Do a thousand children alive at once start and end cleanly?"""

from __future__ import annotations

import random
import resource
import time

from answer import Answer, Goal, Series
from harness import Options, Parent, main
from looking import descendants, settled_descendants
from rivals import OURS

__all__ = ["measure"]

_RIVALS = (OURS, "fork")
_GROWTH = {
    "descriptors": "descriptors",
    "threads": "threads",
    "resident_kib": "resident memory",
    "own_kib": "memory of its own (heap, stacks)",
    "shared_kib": "memory shared with its family",
}
#: What a run may take more at its end than after its first tenth: an allocator's noise, not a leak.
_NOISE_KIB = 512


def measure(options: Options) -> Answer:
    """Ours, and fork for comparison with a tenth of the cycles."""
    answer = Answer("cycles", "What grows in the parent over many start/join cycles, and many children alive at once.")
    cycles = 300 if options.quick else 10_000
    with Parent(OURS) as ours, Parent("fork") as fork:
        _grow(answer, options, {ours: cycles, fork: max(10, cycles // 10)})
    alive = 50 if options.quick else 1000
    for name in _RIVALS:
        _crowd(answer, name, alive)
    return answer


def _grow(answer: Answer, options: Options, cycles: dict[Parent, int]) -> None:
    """A tenth of the cycles at a time, in turn; the growth is counted from the end of the first tenth on."""
    dice = random.Random(f"{options.seed} cycles")
    facts: dict[str, list[dict[str, int]]] = {parent.rival: [] for parent in cycles}
    order = list(cycles)
    for _ in range(10):
        dice.shuffle(order)
        for parent in order:
            parent.ask("start_join", times=cycles[parent] // 10)
            settled_descendants(parent.pid, quiet=0.1)
            facts[parent.rival].append(parent.ask("facts"))
    for parent in cycles:
        _report_growth(answer, parent.rival, cycles[parent], facts[parent.rival])


def _report_growth(answer: Answer, rival: str, cycles: int, facts: list[dict[str, int]]) -> None:
    for key, what in _GROWTH.items():
        unit = " KiB" if key.endswith("_kib") else ""
        over_time = [float(fact[key]) for fact in facts]
        scenario = f"the parent's {what}, ten looks over the run"
        answer.series.append(Series(scenario, rival, unit.strip(), over_time, in_time=True))
        grown = int(over_time[-1] - over_time[0])
        allowed = _NOISE_KIB if unit else 0
        if rival == OURS:
            wanted = f"no growth (at most {allowed}{unit})" if allowed else "no growth"
            goal = f"the parent's {what} after {cycles:,} start/join cycles, against after {cycles // 10:,}"
            answer.goals.append(Goal(goal, wanted, f"{grown:+d}{unit}", grown <= allowed))
        else:
            answer.notes.append(f"{rival}, {what}: {grown:+d}{unit} in {cycles:,} cycles.")


def _crowd(answer: Answer, rival: str, count: int) -> None:
    """`count` children idle at once, then told to end; every exit code is checked by `release`."""
    with Parent(rival) as parent:
        parent.ask("start_join")
        settled_descendants(parent.pid)
        before = parent.ask("facts")
        begin = time.monotonic()
        pids = set(parent.ask("hold", count=count))
        up = time.monotonic()
        alive = len(pids & descendants(parent.pid))
        parent.ask("release")
        down = time.monotonic()
        left = len(pids & settled_descendants(parent.pid))
        after = parent.ask("facts")
    more = after["descriptors"] - before["descriptors"]
    clean = (alive, left, more, after["threads"]) == (count, 0, 0, before["threads"])
    reached = f"{alive:,} alive, {left} left over, {more:+d} descriptors"
    for scenario, seconds in (("start until all are up", up - begin), ("release until all are joined", down - up)):
        answer.series.append(Series(f"{count:,} children: from {scenario}", rival, "s", [seconds]))
    if rival == OURS:
        answer.goals.append(Goal(f"{count:,} children alive at once start and end cleanly", "yes", reached, clean))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        answer.notes.append(f"The limit of descriptors was {soft:,} for the parent of {count:,} children.")


if __name__ == "__main__":
    main(measure)
