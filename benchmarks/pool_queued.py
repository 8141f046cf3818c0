"""100,000 tasks wait for a worker: how fast were they given, and how much memory does each take?"""

from __future__ import annotations

import random

from answer import Answer
from harness import Options, Parent, main
from pool_harness import PROGRAM, ask, best_goal, groups, keep, most_goal, note
from pool_rivals import LIGHT
from rivals import OURS, OURS_EXECUTOR, label

__all__ = ["measure"]

_RATE, _MEMORY = "tasks given, while both workers are held", "memory of the parent, per task that waits"
#: Who takes so long that one sample must do.
_SLOW = ("loky", "pebble", "mpire")


def measure(options: Options) -> Answer:
    """What submit() gave back is kept, and counted. A new parent for each sample: freed memory would be used again unseen."""
    answer = Answer("pool_queued", "Tasks that wait for a worker.")
    count = 2_000 if options.quick else 100_000
    dice = random.Random(f"{options.seed} pool_queued")
    (names,) = groups(answer, options, [name for name in LIGHT if name != "joblib"])
    samples: dict[tuple[str, str], list[float]] = {(what, name): [] for what in (_RATE, _MEMORY) for name in names}
    for i in range(options.choose(2, 1)):
        asked = [name for name in names if i == 0 or name not in _SLOW]
        for name in dice.sample(asked, len(asked)):
            _family(answer, name, count, samples)
    for what, unit, more_is_better in ((_RATE, "per second", True), (_MEMORY, "bytes", False)):
        found = {key: values for key, values in samples.items() if key[0] == what and values}
        keep(answer, found, unit, more_is_better)
    best_goal(answer, "tasks given while none is taken", _RATE, 5, (OURS, OURS_EXECUTOR))
    most_goal(answer, "memory of a task that waits", _MEMORY, 600)
    answer.notes.append("Memory: what the parent has more of its own and of shared memory, by RSS, futures included.")
    answer.notes.append("joblib has no submit; Ray and Dask keep tasks in other processes.")
    return answer


def _family(answer: Answer, name: str, count: int, samples: dict[tuple[str, str], list[float]]) -> None:
    try:
        with Parent(name, 0, program=PROGRAM) as parent:
            reason = parent.ask("lacks", what="pool")
            if reason:
                note(answer, f"Left out is {label(name)}: {reason}.")
                return
            parent.ask("stand")
            ((taken, more),) = ask(parent, "queued", count=count)
            samples[_RATE, name].append(count * 1e9 / taken)
            samples[_MEMORY, name].append(more / count)
    except RuntimeError as error:
        if name in (OURS, OURS_EXECUTOR, "mp_pool", "futures"):
            raise
        note(answer, f"Left out is {label(name)}: {str(error).splitlines()[-1]}.")


if __name__ == "__main__":
    main(measure)
