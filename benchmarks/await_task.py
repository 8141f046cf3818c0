"""How long is one task of a pool, awaited in an event loop?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS, OURS_BY_LOOP

__all__ = ["measure"]

_AT_ONCE, _ASLEEP = "a task awaited, one after another", "a task awaited, 5 ms of rest before each"
_TOGETHER = "1,000 tasks awaited at once, by gather"
_BESIDE = (OURS, OURS_BY_LOOP, "futures_by_loop")
#: Its processes look for tasks every 5 ms, also while others are measured: it runs after them, alone.
_POLLING = "aiomultiprocess"


def measure(options: Options) -> Answer:
    """The task does nothing; two workers, all awake or all asleep."""
    answer = Answer("await_task", "A task that does nothing, and its result, awaited in an event loop.")
    often, seldom, many = (100, 5, 100) if options.quick else (500, 40, 1_000)
    common: dict[str, Any] = {"needs": "task"}
    scenarios: dict[str, dict[str, Any]] = {
        _AT_ONCE: common | {"do": "tasks", "count": often, "rounds": options.choose(10, 1)},
        _ASLEEP: common | {"do": "tasks", "count": seldom, "pause": 0.005, "rounds": options.choose(10, 1)},
        _TOGETHER: common | {"do": "together", "count": many, "rounds": options.choose(20, 1), "unit": "per second",
                             "convert": lambda ns: many * 1e9 / ns, "more_is_better": True},
    }  # fmt: skip
    megabytes = 20 if options.quick else 50
    for rivals in (_BESIDE,) if options.quick else (_BESIDE, (_POLLING,)):
        measure_rivals(answer, options, rivals, scenarios, program="await_parent.py", limits="limits_sync.c",
                       megabytes=megabytes, warm=("warm", {"what": "task"}))  # fmt: skip
    for scenario in scenarios:
        answer.ratio_goal(f"{scenario}, against concurrent.futures", scenario, "futures_by_loop", 1)
    answer.notes.append("aiomultiprocess has coroutine functions as tasks, 16 at a time in each worker. It looks every 5 ms "
                        "for tasks, and for results; it runs after the others, alone.")  # fmt: skip
    return answer


if __name__ == "__main__":
    main(measure)
