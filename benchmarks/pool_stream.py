"""How many results a second come out of a pool of two in the order in which they are done?"""

from __future__ import annotations

from answer import Answer
from harness import Options, main
from pool_harness import best_goal, measure_pools
from pool_rivals import LIGHT

__all__ = ["measure"]

_STREAM = "an unordered stream, as it is by default"


def measure(options: Options) -> Answer:
    """imap_unordered; joblib's generator_unordered; as_completed where there is only that."""
    answer = Answer("pool_stream", "Tasks that do nothing; results as they come.")
    count = 2_000 if options.quick else 40_000
    how = {"do": "tasks", "needs": "unordered", "way": "unordered", "count": count, "rounds": options.choose(5, 1),
           "unit": "per second", "more_is_better": True, "convert": lambda found: found[0] * 1e9 / found[1]}  # fmt: skip
    measure_pools(answer, options, {_STREAM: how}, rivals=LIGHT)
    answer.ratio_goal("an unordered stream, against joblib", _STREAM, "joblib", 1)
    best_goal(answer, "an unordered stream (an aim)", _STREAM, 1)
    return answer


if __name__ == "__main__":
    main(measure)
