"""Two processes want one lock, again and again: how often do they get it, and does each get its share?"""

from __future__ import annotations

import random
from typing import Any

from answer import Answer, Goal, Series
from harness import Options, Parent, interleave, main, standing_parents
from rivals import OURS

__all__ = ["measure"]

_LOCK = "Lock"
#: The commands' arguments; all but the first are for information.
_SCENARIOS: dict[str, dict[str, Any]] = {
    _LOCK: {"kind": "Lock"},
    "Lock around a shared counter": {"kind": "Lock", "counting": True},
    "RLock": {"kind": "RLock"},
    "Semaphore": {"kind": "Semaphore"},
    "Lock, the processes wherever the kernel puts them": {"kind": "Lock", "apart": False},
}
_RATE, _SHARE = "acquisitions of both", "the larger share"
_MOST = 60


def measure(options: Options) -> Answer:
    """Half a second of competition for each sample (a tenth in a quick run), each process on a core of its own.

    Where the kernel puts both on one core, they take turns of milliseconds and hardly meet: no competition.
    """
    answer = Answer("contended", "Two processes acquire and release one lock without a pause.")
    seconds = 0.1 if options.quick else 0.5
    warm = ("contend", {"kind": "Lock", "seconds": 0.01})
    with standing_parents(answer, [OURS, "fork", "c_mutex"], program="sync_parent.py", limits="limits_sync.c",
                          warm=warm) as parents:  # fmt: skip
        for scenario, how in _SCENARIOS.items():
            rounds = options.choose(12 if scenario == _LOCK else 6, 1)
            able = parents if scenario == _LOCK else [parent for parent in parents if parent.rival != "c_mutex"]
            _compete(answer, options, able, scenario, rounds, {"seconds": seconds, **how})
    answer.ratio_goal("two processes at one Lock: acquisitions, against multiprocessing", f"{_LOCK}: {_RATE}", "fork", 2)
    ours = answer.get(f"{_LOCK}: {_SHARE}")
    if ours:
        what = "two processes at one Lock: the larger share"
        answer.goals.append(Goal(what, f"at most {_MOST} %", f"{ours.median:.0f} %", ours.median <= _MOST))
    return answer


def _compete(answer: Answer, options: Options, parents: list[Parent], scenario: str, rounds: int,
             how: dict[str, Any]) -> None:  # fmt: skip
    dice = random.Random(f"{options.seed} contended {scenario}")
    found: dict[str, list[Any]] = interleave(parents, rounds, dice, options.settle, "contend", **how)
    for parent in parents:
        rates = [(mine + theirs) * 1e9 / ns for mine, theirs, ns in found[parent.rival]]
        answer.series.append(Series(f"{scenario}: {_RATE}", parent.rival, "per second", rates, more_is_better=True))
    for parent in parents:
        if parent.rival != "c_mutex":
            shares = [max(mine, theirs) * 100 / (mine + theirs) for mine, theirs, _ in found[parent.rival]]
            answer.series.append(Series(f"{scenario}: {_SHARE}", parent.rival, "%", shares))


if __name__ == "__main__":
    main(measure)
