"""How long does it take to open a pool of two and have a first result, and to close it?"""

from __future__ import annotations

import random
import time

from answer import Answer
from harness import Options, Parent, main
from pool_harness import PROGRAM, ask, best_goal, groups, keep, most_goal, note
from pool_rivals import HEAVY, LIGHT
from rivals import OURS, OURS_EXECUTOR, label

__all__ = ["measure"]

_OPEN, _CLOSE = "a pool made, and its first result", "a pool closed, its workers ended"
_COLD_OPEN, _COLD_CLOSE = f"{_OPEN}: the very first of a program", f"{_CLOSE}: the very first of a program"
_SIZE = 50


def measure(options: Options) -> Answer:
    """Warm is every pool of a program but the first: helpers (a zygote, trackers) stand. Of the heavy rivals one each."""
    answer = Answer("pool_opening", "A pool of two opened, used once, and closed.")
    dice = random.Random(f"{options.seed} pool_opening")
    light, *heavy = groups(answer, options, LIGHT + HEAVY)
    cold, warm = options.choose(3, 1), options.choose(5, 1)
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(cold):
        for name in dice.sample(light, len(light)):
            _family(answer, name, warm, options.settle, samples)
    for (name,) in heavy:
        _family(answer, name, int(name == "dask"), options.settle, samples)
    order = {name: i for i, name in enumerate(LIGHT + HEAVY)}
    for scenario in (_OPEN, _CLOSE, _COLD_OPEN, _COLD_CLOSE):
        found = {key: samples[key] for key in sorted(samples, key=lambda key: order[key[1]]) if key[0] == scenario}
        keep(answer, found, "ms")
    best_goal(answer, "a pool opened", _OPEN, 5, (OURS, OURS_EXECUTOR))
    most_goal(answer, "a pool closed", _CLOSE, 2)
    return answer


def _family(answer: Answer, name: str, warm: int, settle: float, samples: dict[tuple[str, str], list[float]]) -> None:
    """A new program: its first pool, and as many more, one after another."""
    try:
        with Parent(name, _SIZE, program=PROGRAM) as parent:
            reason = parent.ask("lacks", what="pool")
            if reason:
                note(answer, f"Left out is {label(name)}: {reason}.")
                return
            for i in range(1 + warm):
                time.sleep(settle)
                ((opened, closed),) = ask(parent, "open_close")
                samples.setdefault((_OPEN if i else _COLD_OPEN, name), []).append(opened / 1e6)
                samples.setdefault((_CLOSE if i else _COLD_CLOSE, name), []).append(closed / 1e6)
    except RuntimeError as error:
        if name in (OURS, OURS_EXECUTOR, "mp_pool", "futures"):
            raise
        note(answer, f"Left out is {label(name)}: {str(error).splitlines()[-1]}.")


if __name__ == "__main__":
    main(measure)
