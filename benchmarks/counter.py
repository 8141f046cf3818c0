"""``with v.get_lock(): v.value += 1``: how often, by one process and by two at once?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_ALONE = "one process"
_TOGETHER = "two processes, each on a core of its own: additions of both"


def measure(options: Options) -> Answer:
    """Additions that were lost are an error."""
    answer = Answer("counter", "Adding 1 to a shared number under its lock.")
    count, seconds = (1_000, 0.05) if options.quick else (20_000, 0.3)
    often = {"needs": "value", "rounds": options.choose(12, 1), "unit": "per second", "more_is_better": True}
    scenarios: dict[str, dict[str, Any]] = {
        _ALONE: {"do": "count_alone", "count": count, "convert": lambda ns: count * 1e9 / ns, **often},
        _TOGETHER: {"do": "count_together", "seconds": seconds, "convert": lambda found: found[0] * 1e9 / found[1], **often},
    }
    measure_rivals(answer, options, (OURS, "mp"), scenarios, program="share_parent.py", limits="limits_share.c",
                   warm=("warm", {}))  # fmt: skip
    answer.ratio_goal("adding under a Value's lock, alone, against multiprocessing", _ALONE, "mp", 2)
    answer.ratio_goal("adding under a Value's lock, two processes, against multiprocessing", _TOGETHER, "mp", 2)
    return answer


if __name__ == "__main__":
    main(measure)
