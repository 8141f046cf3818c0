"""How fast does a serial dispatch queue take 100,000 tiny blocks, and how long is one that is waited for?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS, OURS_EXECUTOR

__all__ = ["measure"]

_MANY, _ONE = "tiny blocks to a serial queue, and all their results", "a block given and waited for, one after another"
_RIVALS = (OURS, OURS_EXECUTOR, "futures", "mp_pool")


def measure(options: Options) -> Answer:
    """A serial queue has one block done at a time; beside it a pool with one worker, to which the same is given."""
    answer = Answer("dispatch", "A serial DispatchQueue, beside plain pools with one worker; the blocks do nothing.")
    many, often = (2_000, 100) if options.quick else (100_000, 500)
    scenarios: dict[str, dict[str, Any]] = {
        _MANY: {"do": "many", "needs": "submit", "count": many, "rounds": options.choose(5, 1), "unit": "per second",
                "convert": lambda sample: sample[0] * 1e9 / sample[1], "more_is_better": True},
        _ONE: {"do": "one_by_one", "needs": "submit", "count": often, "rounds": options.choose(10, 1)},
    }  # fmt: skip
    measure_rivals(answer, options, _RIVALS, scenarios, program="dispatch_parent.py", limits="limits_sync.c",
                   megabytes=20 if options.quick else 50, warm=("warm", {}))  # fmt: skip
    answer.ratio_goal("tiny blocks, against concurrent.futures with one worker", _MANY, "futures", 1)
    answer.ratio_goal("tiny blocks, against our own executor with one worker (an aim)", _MANY, OURS_EXECUTOR, 0.5)
    answer.ratio_goal("a block waited for, against concurrent.futures", _ONE, "futures", 1)
    answer.notes.append("async_() and the futures' result(), beside submit() and result(), or apply_async() and get(); sync(), "
                        "beside submit().result(), or apply(). concurrent.futures has a fifth of the blocks.")  # fmt: skip
    return answer


if __name__ == "__main__":
    main(measure)
