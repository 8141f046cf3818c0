"""How fast does one process let another go on: by an Event, a Barrier of two, a turn under a Condition?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_EVENT = "Event: from set() to the sleeper's next step"
_BARRIER = "Barrier of two: meetings"
_CONDITION = "Condition: round trips of a turn"


def measure(options: Options) -> Answer:
    """The sleeper has slept for 20 ms; the others go to and fro without a pause."""
    answer = Answer("handover", "One process lets another go on.")
    count = 300 if options.quick else 2000
    scenarios: dict[str, dict[str, Any]] = {
        _EVENT: {"do": "wake", "times": 2 if options.quick else 5, "rounds": options.choose(20, 1)},
        _BARRIER: _often(options, "barrier", count) | {"without": ("c_futex",)},
        _CONDITION: _often(options, "turns", count),
    }
    warm = ("wake", {"times": 1, "asleep": 0.001})
    measure_rivals(answer, options, [OURS, "fork", "c_futex", "c_spin"], scenarios, program="sync_parent.py",
                   limits="limits_sync.c", warm=warm)  # fmt: skip
    answer.ratio_goal("Event.set() to the sleeper's next step, against multiprocessing", _EVENT, "fork", 1)
    answer.ratio_goal("Barrier of two, against multiprocessing", _BARRIER, "fork", 3)
    answer.ratio_goal("round trips under a Condition, against multiprocessing", _CONDITION, "fork", 3)
    return answer


def _often(options: Options, do: str, count: int) -> dict[str, Any]:
    return {"do": do, "count": count, "rounds": options.choose(20, 2), "unit": "per second", "more_is_better": True,
            "convert": lambda ns: count * 1e9 / ns}  # fmt: skip


if __name__ == "__main__":
    main(measure)
