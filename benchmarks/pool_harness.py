"""The driver of the questions about pools: the harness, and what rivals need that are not of the standard library.

Those that are one library each run beside each other and are asked in turn, as everywhere here. Those with services of
their own (Ray, Dask) run after them, alone: what their services do in between would be charged to the others. A rival
that fails or takes too long is left out of that scenario, with the reason; we and the standard library are not let off.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any

from answer import Answer, Goal, Series
from harness import Options, Parent, standing_parents
from looking import descendants
from pool_rivals import HEAVY, LIGHT, not_installed
from rivals import OURS, OURS_EXECUTOR, is_limit, label

__all__ = ["PROGRAM", "ask", "best_goal", "groups", "keep", "measure_pools", "most_goal", "note"]

PROGRAM = "pool_parent.py"
_STANDARD = (OURS, OURS_EXECUTOR, "mp_pool", "futures")
#: Who is slow by nature is not asked as often.
_HEAVY_ROUNDS = 3
#: Seconds for one answer, whatever happens in the parent; its own limit is shorter.
_LIMIT = 60.0


def measure_pools(answer: Answer, options: Options, scenarios: dict[str, dict[str, Any]], *,
                  rivals: Sequence[str] = LIGHT + HEAVY, bounds: Sequence[str] = (), limits: str = "limits_sync.c",
                  megabytes: int = 50, prepare: tuple[str, dict[str, Any]] = ("stand", {})) -> None:  # fmt: skip
    """As `harness.measure_rivals`: the pools are open beforehand. `bounds` are the limits to measure, of that source."""
    for group in groups(answer, options, rivals):
        names = (*group, *bounds) if group[0] not in HEAVY else group
        try:
            with standing_parents(answer, names, megabytes=megabytes, program=PROGRAM, limits=limits,
                                  warm=("stand", {})) as parents:  # fmt: skip
                able = _those_with_pools(answer, parents)
                for parent in able:
                    ask(parent, prepare[0], **prepare[1])
                for scenario, how in scenarios.items():
                    _measure_scenario(answer, options, able, scenario, **how)
        except RuntimeError as error:
            if group[0] not in HEAVY:
                raise
            note(answer, f"Left out is {label(group[0])}: {_last_line(error)}.")


def groups(answer: Answer, options: Options, rivals: Sequence[str]) -> list[list[str]]:
    """Who of `rivals` runs together. Notes who is not installed; a quick run is of the standard library alone."""
    if options.quick:
        rivals = [name for name in rivals if name in _STANDARD]
    missing = {name: module for name in rivals if (module := not_installed(name))}
    for name, module in missing.items():
        note(answer, f"Left out is {label(name)}: {module} is not installed.")
    there = [name for name in rivals if name not in missing]
    light = [name for name in there if name not in HEAVY]
    return [group for group in (light, *([name] for name in there if name in HEAVY)) if group]


def note(answer: Answer, text: str) -> None:
    """Once."""
    if text not in answer.notes:
        answer.notes.append(text)


def _those_with_pools(answer: Answer, parents: Sequence[Parent]) -> list[Parent]:
    able = []
    for parent in parents:
        reason = None if is_limit(parent.rival) else parent.ask("lacks", what="pool")
        if reason:
            note(answer, f"Left out is {label(parent.rival)}: {reason}.")
        else:
            able.append(parent)
            if parent.rival == OURS and (parent.ask("stand") or "").startswith("multiprocessing"):
                note(answer, "procession.Pool is multiprocessing's here, over our processes: a stand-in.")
    return able


def _measure_scenario(answer: Answer, options: Options, parents: Sequence[Parent], scenario: str, *, do: str, rounds: int,
                      needs: str | None = None, among: Sequence[str] | None = None, unit: str = "µs",
                      convert: Callable[[Any], float] = lambda ns: ns / 1e3, more_is_better: bool = False,
                      **arguments: Any) -> None:  # fmt: skip
    able = [parent for parent in parents if among is None or parent.rival in among]
    if needs:
        able = [parent for parent in able if _has(answer, scenario, parent, needs)]
    samples: dict[str, list[Any]] = {parent.rival: [] for parent in able}
    dice = random.Random(f"{options.seed} {scenario}")
    heavy = any(parent.rival in HEAVY for parent in able)
    for _ in range(min(rounds, _HEAVY_ROUNDS) if heavy else rounds):
        for parent in dice.sample(able, len(able)):
            time.sleep(options.settle)
            try:
                samples[parent.rival] += ask(parent, do, **arguments)
            except RuntimeError as error:
                if parent.rival in _STANDARD:
                    raise
                note(answer, f"{scenario}: left out is {label(parent.rival)}: {_last_line(error)}.")
                able.remove(parent)
    keep(answer, {(scenario, parent.rival): [convert(value) for value in samples[parent.rival]] for parent in able},
         unit, more_is_better)  # fmt: skip


def keep(answer: Answer, samples: dict[tuple[str, str], list[float]], unit: str, more_is_better: bool = False) -> None:
    """Add a series for each scenario and rival."""
    for (scenario, rival), values in samples.items():
        answer.series.append(Series(scenario, rival, unit, values, more_is_better))


def _has(answer: Answer, scenario: str, parent: Parent, what: str) -> bool:
    if is_limit(parent.rival):
        return True
    try:
        reason = ask(parent, "lacks", what=what)
    except RuntimeError as error:
        reason = _last_line(error)
    if reason:
        note(answer, f"{scenario}: left out is {label(parent.rival)}: {reason}.")
    return reason is None


def ask(parent: Parent, do: str, **arguments: Any) -> Any:
    """As `Parent.ask`, with a time limit, at which the whole family is killed."""
    with _watched(parent):
        return parent.ask(do, **arguments)


@contextmanager
def _watched(parent: Parent) -> Iterator[None]:
    timer = Timer(_LIMIT, _kill_family, (parent.pid,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill_family(pid: int) -> None:
    for member in (*descendants(pid), pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rstrip(".")[:200]


# --- goals ---


def best_goal(answer: Answer, what: str, scenario: str, least: float, ours: Sequence[str] = (OURS,)) -> None:
    """Add the goal to be at least `least` times better than the best rival that was measured."""
    rivals = [series for series in answer.series
              if series.scenario == scenario and not series.rival.startswith(OURS) and not is_limit(series.rival)]  # fmt: skip
    if not rivals:
        return
    best = min(rivals, key=lambda series: -series.median if series.more_is_better else series.median)
    for name in ours:
        mine = answer.get(scenario, name)
        if mine:
            factor = mine.times_better(best)
            told = f"{what}, against the best ({label(best.rival)})" + (f", {label(name)}" if name != OURS else "")
            answer.goals.append(Goal(told, f"at least {least:g} times", f"{factor:.1f} times", factor >= least))


def most_goal(answer: Answer, what: str, scenario: str, most: float, ours: Sequence[str] = (OURS, OURS_EXECUTOR)) -> None:
    """Add the goal to be at `most` that."""
    for name in ours:
        mine = answer.get(scenario, name)
        if mine:
            told = what + (f", {label(name)}" if name != OURS else "")
            wanted, reached = f"at most {most:g} {mine.unit}", f"{mine.median:.1f} {mine.unit}"
            answer.goals.append(Goal(told, wanted, reached, mine.median <= most))
