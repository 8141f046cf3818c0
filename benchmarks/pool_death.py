"""A worker is killed while it has a task: how soon does the task end with an error?"""

from __future__ import annotations

from answer import Answer
from harness import Options, main
from pool_harness import measure_pools, most_goal

__all__ = ["measure"]

_DEATH = "from SIGKILL of a worker to the error of its task"
_MOST = 5


def measure(options: Options) -> Answer:
    """A new pool for each sample. Where the task never ends, that is said after a time limit."""
    answer = Answer("pool_death", "A worker with a task is killed.")
    how = {"do": "death", "needs": "death", "rounds": options.choose(3, 1), "unit": "ms", "convert": lambda ns: ns / 1e6}
    measure_pools(answer, options, {_DEATH: how})
    most_goal(answer, "a worker's death, until its task ends with an error", _DEATH, _MOST)
    return answer


if __name__ == "__main__":
    main(measure)
