"""How fast do bytes go to a worker and back, 1 MB per task?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main
from pool_harness import best_goal, measure_pools

__all__ = ["measure"]

_MAP, _SINGLY = "map over 1 MB each, a message per task, both directions counted", "one after another, both directions counted"


def measure(options: Options) -> Answer:
    """Every task has bytes of its own, and its result is the same bytes; 1 MB there and 1 MB back are 2 MB."""
    answer = Answer("pool_bytes", "Bytes of 1 MB out to a worker and back.")
    count = 8 if options.quick else 60
    how: dict[str, Any] = {"do": "out_and_back", "count": count, "unit": "MB/s", "more_is_better": True,
                           "convert": lambda found: found[0] * 1e3 / found[1]}  # fmt: skip
    scenarios = {
        _MAP: how | {"rounds": options.choose(5, 1)},
        _SINGLY: how | {"rounds": options.choose(4, 1), "singly": True, "needs": "submit"},
    }
    measure_pools(answer, options, scenarios, bounds=("memcpy",), limits="limits_share.c")
    best_goal(answer, "bytes of 1 MB out and back, by map", _MAP, 8)
    return answer


if __name__ == "__main__":
    main(measure)
