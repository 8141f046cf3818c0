"""How long is one task, from submit() to its result?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main
from pool_harness import best_goal, measure_pools
from pool_rivals import HEAVY, LIGHT
from rivals import OURS, OURS_EXECUTOR

__all__ = ["measure"]

_AT_ONCE, _ASLEEP = "submit and result, one after another", "submit and result, 5 ms of rest before each"


def measure(options: Options) -> Answer:
    """One task at a time, so that a core is free for the worker. After a rest everybody sleeps, and cores as well."""
    answer = Answer("pool_latency", "A task that does nothing, and its result.")
    rivals = tuple(name for name in LIGHT if name != "joblib")
    often, seldom = (100, 5) if options.quick else (500, 40)
    common: dict[str, Any] = {"do": "round_trips", "needs": "submit"}
    scenarios: dict[str, dict[str, Any]] = {
        _AT_ONCE: common | {"count": often, "rounds": options.choose(8, 1)},
        _ASLEEP: common | {"count": seldom, "pause": 0.005, "rounds": options.choose(5, 1), "among": rivals},
    }
    measure_pools(answer, options, scenarios, rivals=rivals + HEAVY, bounds=("c_futex", "c_spin"))
    best_goal(answer, "submit and result", _AT_ONCE, 5, (OURS, OURS_EXECUTOR))
    best_goal(answer, "submit and result after a rest (an aim)", _ASLEEP, 1, (OURS, OURS_EXECUTOR))
    answer.notes.append("joblib has no way to give one task. Ray and Dask, far behind, are not asked after a rest.")
    return answer


if __name__ == "__main__":
    main(measure)
