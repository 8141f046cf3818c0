"""How fast does a numpy array of 100 MB get to a worker, and how much memory do all processes have at the worst moment?"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from answer import Answer
from harness import Options, Parent, main
from looking import descendants, total
from pool_harness import PROGRAM, ask, best_goal, groups, keep, measure_pools, note
from pool_rivals import HEAVY, LIGHT
from rivals import OURS, label

__all__ = ["measure"]

_OUT = "an ordinary array out, a small result back"
_PEAK, _MORE = "memory of all processes at the worst moment", "what that is above the same family at rest"
_MEMORY_IS = (
    "Memory: PSS of the parent and all its descendants, looked at again and again; in place of what they have mapped of shared "
    "memory, what the machine has more of it. Others who use shared memory meanwhile falsify it. Not of Dask."
)


def measure(options: Options) -> Answer:
    """The memory is looked at in a family of its own, with nobody else there."""
    size = 10 if options.quick else 100
    answer = Answer("pool_arrays", f"A numpy array of {size} MB out to a worker, and a result back.")
    if find_spec("numpy") is None:
        answer.notes.append("numpy is not installed.")
        return answer
    how = {"do": "arrays", "times": 2, "rounds": options.choose(3, 1), "unit": "MB/s", "more_is_better": True,
           "convert": lambda ns: size * 1e9 / ns}  # fmt: skip
    rivals = tuple(name for name in LIGHT if name != "procession ProcessPoolExecutor") + HEAVY
    measure_pools(answer, options, {_OUT: how}, rivals=rivals, bounds=("memcpy",), limits="limits_share.c",
                  prepare=("prepare_array", {"megabytes": size}))  # fmt: skip
    _memory(answer, options, [name for name in rivals if name != "dask"], size)
    answer.ratio_goal("an array out, against Ray", _OUT, "ray", 3)
    best_goal(answer, "an array out (an aim)", _OUT, 1)
    best_goal(answer, "memory of all processes while an array goes out", _PEAK, 2)
    answer.notes.append(_MEMORY_IS)
    return answer


def _memory(answer: Answer, options: Options, rivals: Sequence[str], size: int) -> None:
    dice = random.Random(f"{options.seed} pool_arrays memory")
    names = [name for group in groups(answer, options, rivals) for name in group]
    samples: dict[tuple[str, str], list[float]] = {(what, name): [] for what in (_PEAK, _MORE) for name in names}
    for i in range(options.choose(2, 1)):
        for name in dice.sample(names, len(names)):
            if i == 0 or name not in HEAVY:
                try:
                    peak, more = _look(name, size)
                except RuntimeError as error:
                    if name == OURS:
                        raise
                    note(answer, f"{_PEAK}: left out is {label(name)}: {str(error).splitlines()[-1]}.")
                    continue
                samples[_PEAK, name].append(peak)
                samples[_MORE, name].append(more)
    keep(answer, {key: values for key, values in samples.items() if values}, "MB")


def _look(name: str, size: int) -> tuple[float, float]:
    """MB: the most that a new family has while the array goes out three times, and how much that is more than before."""
    shared = _settled_shared()
    with Parent(name, 0, program=PROGRAM) as parent, ThreadPoolExecutor(1) as other:
        parent.ask("stand")
        ask(parent, "prepare_array", megabytes=size)
        at_rest = peak = _taken(parent.pid) - shared
        asked = other.submit(ask, parent, "arrays", times=2)
        while not asked.done():
            peak = max(peak, _taken(parent.pid) - shared)
        asked.result()
    return peak * 1024 / 1e6, max(0, peak - at_rest) * 1024 / 1e6


def _taken(root: int) -> int:
    """KiB: the memory of that family, and all shared memory. Files in /dev/shm that nobody has mapped are in no PSS."""
    family = descendants(root) | {root}
    return total(family, "Pss_Anon") + total(family, "Pss_File") + _shared()


def _shared() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Shmem:"))


def _settled_shared(quiet: float = 0.3, patience: float = 5.0) -> int:
    """The same, once it has not changed for `quiet` seconds: the family before gives its memory back after its end."""
    now = time.monotonic()
    seen, since, end = _shared(), now, now + patience
    while now - since < quiet and now < end:
        time.sleep(0.02)
        now, found = time.monotonic(), _shared()
        if found != seen:
            seen, since = found, now
    return seen


if __name__ == "__main__":
    main(measure)
