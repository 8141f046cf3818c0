"""How many tasks a second goes a pool of two through, if each is a message of its own and does nothing?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main
from pool_harness import measure_pools

__all__ = ["measure"]

_MAP, _IMAP = "map, a message per task", "imap, a message per task"


def measure(options: Options) -> Answer:
    """Who is slower has fewer tasks, so that nobody's sample is long; the rate is compared."""
    answer = Answer("pool_noop", "Tasks that do nothing, each a message of its own, through a pool of two.")
    scenarios = {_MAP: _how(options, "one_by_one", 6), _IMAP: _how(options, "lazily", 4)}
    measure_pools(answer, options, scenarios, bounds=("pickle",))
    answer.ratio_goal("tasks by map, one by one, against multiprocessing.Pool", _MAP, "mp_pool", 7)
    answer.ratio_goal("tasks by imap, one by one, against multiprocessing.Pool", _IMAP, "mp_pool", 7)
    return answer


def _how(options: Options, way: str, rounds: int) -> dict[str, Any]:
    return {"do": "tasks", "needs": way, "way": way, "count": 2_000 if options.quick else 10_000,
            "rounds": options.choose(rounds, 1), "unit": "per second", "more_is_better": True,
            "convert": lambda found: found[0] * 1e9 / found[1]}  # fmt: skip


if __name__ == "__main__":
    main(measure)
