"""One array of 1 GB passed to four processes, which look at all of it: how much more memory have they for themselves?"""

from __future__ import annotations

import random

from answer import Answer, Goal, Series
from harness import Options, Parent, main
from looking import memory
from rivals import OURS, label

__all__ = ["measure"]

_PROCESSES = 4
_MOST = 1.0


def measure(options: Options) -> Answer:
    """Private memory of the four together, after beside before. One family at a time."""
    size = 50 if options.quick else 1000
    answer = Answer("array_memory", f"An array of {size:,} MB passed to {_PROCESSES} processes.")
    scenario = "private memory that the four have more, together"
    dice = random.Random(f"{options.seed} array_memory")
    samples: dict[str, list[float]] = {}
    for _ in range(options.choose(2, 1)):
        order = [OURS, "mp_named"]
        dice.shuffle(order)
        for rival in order:
            with Parent(rival, program="share_parent.py") as parent:
                reason = parent.ask("lacks", what="own_array")
                if reason is None:
                    samples.setdefault(rival, []).append(_look(parent, size))
                elif f"Left out is {label(rival)}: {reason}." not in answer.notes:
                    answer.notes.append(f"Left out is {label(rival)}: {reason}.")
    for rival in (OURS, "mp_named"):
        if rival in samples:
            answer.series.append(Series(scenario, rival, "MB", samples[rival]))
    ours = answer.get(scenario)
    if ours:
        part = ours.median * 100 / size
        what = f"private memory that {size:,} MB passed to {_PROCESSES} processes adds"
        answer.goals.append(Goal(what, f"less than {_MOST:g} %", f"{part:.2f} %", part < _MOST))
    return answer


def _look(parent: Parent, size: int) -> float:
    """MB, in a new family."""
    pids = parent.ask("hold_arrays", processes=_PROCESSES)
    before = sum(memory(pid)["Private"] for pid in pids)
    parent.ask("give_array", megabytes=size)
    after = sum(memory(pid)["Private"] for pid in pids)
    parent.ask("release_arrays")
    return max(0, after - before) * 1024 / 1e6


if __name__ == "__main__":
    main(measure)
