"""How many tasks a second goes a pool of two through, if it gathers them into messages as it likes, or as it is told?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main
from pool_harness import best_goal, measure_pools
from pool_rivals import LIGHT

__all__ = ["measure"]

_DEFAULT, _CHUNKS = "map over a million, as it is by default", "map over 200,000, 1,000 per message"


def measure(options: Options) -> Answer:
    """concurrent.futures, loky and pebble gather none unless told: those have fewer tasks by default."""
    answer = Answer("pool_chunks", "Tasks that do nothing, gathered into messages, through a pool of two.")
    million, some = (20_000, 10_000) if options.quick else (1_000_000, 200_000)
    scenarios: dict[str, dict[str, Any]] = {
        _DEFAULT: _how(options, 3) | {"do": "tasks", "way": "by_default", "count": million},
        _CHUNKS: _how(options, 3) | {"do": "in_chunks", "needs": "in_chunks", "count": some, "size": 1_000},
    }
    measure_pools(answer, options, scenarios, rivals=LIGHT)
    best_goal(answer, "map over a million by default", _DEFAULT, 1.5)
    answer.notes.append("By default concurrent.futures, loky and pebble send a message per task; they were given fewer tasks.")
    answer.notes.append("Ray and Dask gather none.")
    return answer


def _how(options: Options, rounds: int) -> dict[str, Any]:
    return {"rounds": options.choose(rounds, 1), "unit": "per second", "more_is_better": True,
            "convert": lambda found: found[0] * 1e9 / found[1]}  # fmt: skip


if __name__ == "__main__":
    main(measure)
