"""What do 10,000 awaits take that lie there: threads, memory, and the processor's time while nothing happens?"""

from __future__ import annotations

import random
from typing import Any

from answer import Answer, Goal, Series
from harness import Options, Parent, main
from rivals import OURS, label

__all__ = ["measure"]

_RIVALS = (OURS, "mp_threads", "loop_future")
_MEMORY, _THREADS, _IDLE, _ENDED = ("memory of each", "threads that they add", "the processor's time while they lie",
                                    "from their release until all have ended")  # fmt: skip
#: By the key of what `Lying` finds: what it is, its unit, and what makes that of it.
_FIGURES: dict[str, tuple[str, str, Any]] = {
    "bytes": (_MEMORY, "bytes", lambda value, lying: value / lying),
    "threads": (_THREADS, "", lambda value, lying: value),
    "spent": (_IDLE, "ms", lambda value, lying: value / 1e6),
    "ended": (_ENDED, "ms", lambda value, lying: value / 1e6),
}


def measure(options: Options) -> Answer:
    """A new parent for each sample: memory that was free before would be used again unseen. The floor has futures only."""
    answer = Answer("await_many", "Many awaits at once in an event loop, while nothing happens, and their end.")
    part, idle, settle = (100, 0.2, 0.05) if options.quick else (1, 10.0, 0.5)
    mix = {"processes": 1_000 // part, "gets": 4_500 // part, "acquires": 4_500 // part}
    all_of_them = f"{sum(mix.values()):,} awaits"
    _measure(answer, options, all_of_them, mix | {"idle": idle, "settle": settle}, _FIGURES)
    for kind in () if options.quick else ("processes", "gets", "acquires"):
        only = dict.fromkeys(mix, 0) | {kind: 1_000 if kind == "processes" else 10_000}
        _measure(answer, options, _named(only), only | {"idle": 0.1, "settle": settle}, {"bytes": _FIGURES["bytes"]})
    _goals(answer, all_of_them, idle)
    answer.notes += [
        f"{all_of_them}: of {_named(mix)}.",
        "Memory: what the parent has more by RSS, the loop's task for each await included; not what the kernel keeps (two "
        "descriptors for each process, a stack of its own for each thread).",
        f"The processor's time: of the parent and its children in {idle:g} s, from {settle:g} s after the last await began.",
        "multiprocessing: get(), acquire() and join() block; so each has a thread, in which it does.",
    ]
    return answer


def _named(counts: dict[str, int]) -> str:
    names = {"processes": "processes", "gets": "queue gets", "acquires": "lock acquires"}
    return ", ".join(f"{count:,} {names[kind]}" for kind, count in counts.items() if count)


def _measure(answer: Answer, options: Options, what: str, how: dict[str, Any], figures: dict[str, Any]) -> None:
    dice = random.Random(f"{options.seed} {what}")
    found: dict[str, list[dict[str, int]]] = {name: [] for name in _RIVALS}
    for _ in range(options.choose(2, 1)):
        for name in dice.sample(_RIVALS, len(_RIVALS)):
            with Parent(name, 0, program="await_parent.py") as parent:
                found[name].append(parent.ask("lie", **how))
    for key, (figure, unit, convert) in figures.items():
        answer.series += [Series(f"{what}: {figure}", name, unit, [convert(look[key], look["lying"]) for look in found[name]])
                          for name in _RIVALS]  # fmt: skip
    wanted = sum(how[kind] for kind in ("processes", "gets", "acquires"))
    for name, looks in found.items():
        least = min(look["lying"] for look in looks)
        if least < wanted:
            answer.notes.append(f"{what}: of {label(name)} the machine let only {least:,} of {wanted:,} threads start.")


def _goals(answer: Answer, what: str, idle: float) -> None:
    for figure, told, most, unit in ((_THREADS, "threads for all these awaits", 2, ""),
                                     (_IDLE, f"the processor's time in {idle:g} s of nothing", 10, " ms")):  # fmt: skip
        ours = answer.get(f"{what}: {figure}")
        assert ours is not None
        answer.goals.append(Goal(told, f"at most {most}{unit}", f"{ours.median:,.1f}{unit}", ours.median <= most))
    answer.ratio_goal("memory of each, against a thread each", f"{what}: {_MEMORY}", "mp_threads", 1)


if __name__ == "__main__":
    main(measure)
