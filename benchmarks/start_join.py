"""How long does it take to start an empty process and to join it, and does the parent's size matter?"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from answer import Answer, Goal, Series
from harness import Options, Parent, interleave, main, measure_rivals
from rivals import LIBRARIES, OURS

__all__ = ["measure"]

_SMALL, _LARGE = "parent of 50 MB", "parent of 2 GB"
_NUMPY = "parent of 50 MB with numpy imported"
_IN_A_ROW = "parent of 50 MB, one after another without a pause"
_BY_NAME = "parent of 50 MB, target found by its name (os.getpid)"
_SIZES = "procession alone: its parents of each kind in turn"
_KINDS: dict[str, tuple[int, list[str]]] = {
    "procession from 50 MB": (50, []),
    "procession from 2 GB": (2048, []),
    "procession from 50 MB with numpy": (50, ["numpy"]),
}
_FIRST = "the very first start of a fresh parent of 50 MB"
_ALL = [*LIBRARIES, "c_fork", "c_vfork"]
_WARM: tuple[str, dict[str, Any]] = ("start_join", {})


def measure(options: Options) -> Answer:
    """Every scenario, and the goals."""
    answer = Answer("start_join", "start() and join() of an empty process, a function of the script's own `__main__`.")
    _small(answer, options)
    _large(answer, options)
    _numpy(answer, options)
    _sizes(answer, options)
    _first(answer, options)
    _goals(answer)
    return answer


def _small(answer: Answer, options: Options) -> None:
    settled = {"do": "start_join", "rounds": options.choose(60, 3)}
    in_a_row = {"do": "start_join", "rounds": options.choose(6, 1), "times": 5 if options.quick else 20}
    by_name = settled | {"target": "by name", "without": ["subprocess", "c_fork", "c_vfork"]}
    measure_rivals(answer, options, _ALL, {_SMALL: settled, _IN_A_ROW: in_a_row, _BY_NAME: by_name}, warm=_WARM)


def _large(answer: Answer, options: Options) -> None:
    megabytes = 50 if options.quick else 2048
    name = _LARGE if megabytes == 2048 else f"parent of {megabytes} MB (quick run, instead of 2 GB)"
    how = {"do": "start_join", "rounds": options.choose(25, 3)}
    measure_rivals(answer, options, _ALL, {name: how}, megabytes=megabytes, warm=_WARM)


def _sizes(answer: Answer, options: Options) -> None:
    """Whether the parent matters, under the same conditions: a fork of 2 GB leaves cold caches to whoever is next."""
    with ExitStack() as stack:
        parents = [stack.enter_context(_kind(name)) for name in _KINDS if _can(name, options)]
        for parent in parents:
            parent.ask("start_join", times=3)
        dice = random.Random(f"{options.seed} {_SIZES}")
        samples = interleave(parents, options.choose(60, 3), dice, options.settle, "start_join")
    for parent in parents:
        answer.series.append(Series(_SIZES, parent.rival, "µs", [ns / 1e3 for ns in samples[parent.rival]]))


def _kind(name: str) -> Parent:
    megabytes, modules = _KINDS[name]
    parent = Parent(OURS, megabytes, modules)
    parent.rival = name
    return parent


def _can(name: str, options: Options) -> bool:
    megabytes, modules = _KINDS[name]
    return all(map(find_spec, modules)) and not (options.quick and megabytes > 50)


def _numpy(answer: Answer, options: Options) -> None:
    if find_spec("numpy") is None:
        answer.notes.append("Left out: numpy is not installed.")
        return
    how = {"do": "start_join", "rounds": options.choose(40, 3)}
    measure_rivals(answer, options, _ALL, {_NUMPY: how}, modules=["numpy"], warm=_WARM)


def _first(answer: Answer, options: Options) -> None:
    """A new parent for each sample: nothing stands ready."""
    dice = random.Random(f"{options.seed} {_FIRST}")
    samples: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    order = list(LIBRARIES)
    for _ in range(options.choose(7, 1)):
        dice.shuffle(order)
        for name in order:
            with Parent(name, 50) as parent:
                time.sleep(options.settle)
                samples[name] += [ns / 1e3 for ns in parent.ask("start_join")]
    answer.series += [Series(_FIRST, name, "µs", values) for name, values in samples.items()]


def _goals(answer: Answer) -> None:
    answer.ratio_goal("start+join, 50 MB parent, against multiprocessing fork", _SMALL, "fork", 10)
    small, *others = [answer.get(_SIZES, name) for name in _KINDS]
    for other in others:
        if small and other:
            more = other.median / small.median - 1
            what = f"start+join, {other.rival}, against from 50 MB"
            answer.goals.append(Goal(what, "within 20 %", f"{more:+.0%}", more <= 0.20))
    answer.ratio_goal("start+join, 2 GB parent, against multiprocessing fork", _LARGE, "fork", 10)


if __name__ == "__main__":
    main(measure)
