"""What does it cost to make a SharedMemory, to close and to unlink it?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_SCENARIO = "create, close and unlink 1 MB"


def measure(options: Options) -> Answer:
    """Nothing is written into it. multiprocessing's tells its tracker process each time."""
    answer = Answer("segments", "A segment of shared memory with a name: made, closed, unlinked.")
    count = 20 if options.quick else 200
    scenarios: dict[str, dict[str, Any]] = {
        _SCENARIO: {"do": "segments", "needs": "segment", "count": count, "size": 1 << 20, "rounds": options.choose(20, 1),
                    "convert": lambda ns: ns / count / 1e3},
    }  # fmt: skip
    measure_rivals(answer, options, (OURS, "mp"), scenarios, program="share_parent.py", limits="limits_share.c",
                   warm=("warm", {}))  # fmt: skip
    return answer


if __name__ == "__main__":
    main(measure)
