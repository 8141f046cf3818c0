"""How many processes a second, when many are started and then all are joined?"""

from __future__ import annotations

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import LIBRARIES

__all__ = ["measure"]


def measure(options: Options) -> Answer:
    """200 at a time (30 in a quick run)."""
    count = 30 if options.quick else 200
    scenario = f"{count} started, then joined, parent of 50 MB"
    answer = Answer("burst", f"{count} empty processes are started, then all are joined: processes a second.")
    how = {"do": "burst", "count": count, "rounds": options.choose(7, 1), "unit": "per second",
           "convert": lambda ns: count * 1e9 / ns, "more_is_better": True}  # fmt: skip
    measure_rivals(answer, options, [*LIBRARIES, "c_fork"], {scenario: how}, warm=("start_join", {}))
    answer.ratio_goal(f"{count} started, then joined, against multiprocessing fork", scenario, "fork", 4)
    ours = answer.get(scenario)
    if ours:
        what = f"{count} started, then joined (an aim)"
        answer.goals.append(Goal(what, "1,200 a second", f"{ours.median:,.0f} a second", ours.median >= 1200))
    return answer


if __name__ == "__main__":
    main(measure)
