"""The driver: one parent process per rival, all alive at once, asked in turn.

    driver  --command-->  parent of rival A   (parent.py, measuring.py)  -- start() -->  child
            <--samples--
            settles 10 ms, then rival B, then C; each round in a new random order (the seed is printed)

A parent each, because what one library leaves in a process (a thread, a fork hook, an import) must not be charged to
another.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from answer import Answer, Series
from rivals import label, needs_compiler

__all__ = [
    "BUSY", "Options", "Parent", "add_arguments", "built_limits", "environment", "interleave", "main", "measure_rivals",
    "options_from", "standing_parents",
]  # fmt: skip

#: The load from which on figures should not be quoted.
BUSY = 0.3
_HERE = Path(__file__).resolve().parent


@dataclass
class Options:
    """How thoroughly, and with which dice."""

    rounds: int | None = None
    quick: bool = False
    seed: int = 0
    settle: float = 0.010  #: seconds between any two samples, whoever's
    load: float = 0.0  #: of the machine, before we began

    def choose(self, thorough: int, quick: int) -> int:
        """How many rounds: what was asked for, or what the question thinks best."""
        return self.rounds or (quick if self.quick else thorough)


class Parent:
    """One rival's parent process, driven over a socket. Leaving it as a context ends the process and its children."""

    def __init__(self, rival: str, megabytes: int = 0, modules: Sequence[str] = (), limits: str | None = None,
                 program: str = "parent.py") -> None:
        ours, theirs = socket.socketpair()
        setting = {"rival": rival, "megabytes": megabytes, "modules": list(modules), "limits": limits}
        command = [sys.executable, str(_HERE / program), json.dumps(setting | {"control": theirs.fileno()})]
        self.rival = rival
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment())
        theirs.close()
        self._control, self._lines = ours, ours.makefile("rw", encoding="utf-8")
        self.pid = self._process.pid
        self.first_facts = self._answer()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Let it run one command of `Measuring`; the result. Raises RuntimeError with its traceback if it failed."""
        print(json.dumps({"do": do, **arguments}), file=self._lines, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._lines.readline()
        if not line:
            raise RuntimeError(f"the parent process of {self.rival} ended, with exit code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.rival}: {answer['error']}")
        return answer["value"]

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.close()
        self._control.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment() -> dict[str, str]:
    """Ours; with the source tree on the path when the package is not installed."""
    env = dict(os.environ)
    if find_spec("procession") is None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_HERE.parent / "src"), env.get("PYTHONPATH")]))
    return env


@contextmanager
def built_limits(source: str = "limits.c") -> Iterator[str | None]:
    """The limits as a shared object, for as long as the context lasts; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as directory:
        built = os.path.join(directory, "limits.so")
        flags = ["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, "-o", built, str(_HERE / source)], check=True)
        yield built


def interleave(parents: Iterable[Parent], rounds: int, dice: random.Random, settle: float, do: str,
               **arguments: Any) -> dict[str, list[int]]:
    """Ask every parent once a round, in a new random order each; all their samples by rival."""
    samples: dict[str, list[int]] = {}
    order = list(parents)
    for _ in range(rounds):
        dice.shuffle(order)
        for parent in order:
            time.sleep(settle)
            samples.setdefault(parent.rival, []).extend(parent.ask(do, **arguments))
    return samples


def measure_rivals(answer: Answer, options: Options, rivals: Sequence[str], scenarios: dict[str, dict[str, Any]],
                   **parents_are: Any) -> None:
    """Measure some `scenarios` with one set of parents (`standing_parents`), and add the series to `answer`.

    A scenario is named and says what to `do`, how many `rounds`, and how to turn nanoseconds into its `unit`.
    """
    with standing_parents(answer, rivals, **parents_are) as parents:
        for scenario, how in scenarios.items():
            _measure_scenario(answer, options, parents, scenario, **how)


@contextmanager
def standing_parents(answer: Answer, rivals: Sequence[str], *, megabytes: int = 50, modules: Sequence[str] = (),
                     program: str = "parent.py", limits: str = "limits.c",
                     warm: tuple[str, dict[str, Any]]) -> Iterator[list[Parent]]:
    """A parent per rival, all alive at once, of this size, with these imports and this program and source of limits.

    `warm` is done three times beforehand by every parent, so that helpers (zygote, fork server) stand.
    """
    with ExitStack() as stack:
        with built_limits(limits) as built:  # no longer needed once the parents have loaded it
            names = _fitting(answer, megabytes, [name for name in rivals if built or not needs_compiler(name)])
            parents = [stack.enter_context(Parent(name, megabytes, modules, built, program)) for name in names]
        answer.notes += _sizes(parents, megabytes, modules)
        for parent in parents * 3:
            parent.ask(warm[0], **warm[1])
        yield parents


def _sizes(parents: list[Parent], megabytes: int, modules: Sequence[str]) -> list[str]:
    resident = [parent.first_facts["resident_kib"] // 1024 for parent in parents]
    if not resident:
        return []
    what = f"{megabytes} MB" + "".join(f" with {module}" for module in modules)
    return [f"The parents of {what} had {min(resident):,} to {max(resident):,} MiB resident."]


def _measure_scenario(answer: Answer, options: Options, parents: list[Parent], scenario: str, *, do: str, rounds: int,
                      unit: str = "µs", convert: Callable[[float], float] = lambda ns: ns / 1e3,
                      more_is_better: bool = False, settle: float | None = None, without: Sequence[str] = (),
                      among: Sequence[str] | None = None, needs: str | None = None, **arguments: Any) -> None:
    dice = random.Random(f"{options.seed} {scenario}")
    able = [parent for parent in parents if parent.rival not in without and (among is None or parent.rival in among)]
    if needs:
        able = _those_that_have(answer, scenario, able, needs)
    pause = options.settle if settle is None else settle
    found = interleave(able, rounds, dice, pause, do, **arguments)
    for parent in able:
        values = [convert(value) for value in found[parent.rival]]
        answer.series.append(Series(scenario, parent.rival, unit, values, more_is_better))


def _those_that_have(answer: Answer, scenario: str, parents: list[Parent], what: str) -> list[Parent]:
    """Of `parents`, those that have what the scenario is about. Notes why others are left out."""
    reasons = {parent: parent.ask("lacks", what=what) for parent in parents}
    answer.notes += [f"{scenario}: left out is {label(p.rival)}: {reason}." for p, reason in reasons.items() if reason]
    return [parent for parent, reason in reasons.items() if reason is None]


def _fitting(answer: Answer, megabytes: int, rivals: list[str]) -> list[str]:
    """The first of `rivals`, as many as their parents fit into free memory at once. Notes which are left out."""
    with open("/proc/meminfo", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    free = int(facts["MemAvailable"].split()[0]) // 1024
    room = int(free / (1.2 * max(megabytes, 20)))
    if room < len(rivals):
        gone = ", ".join(label(name) for name in rivals[room:])
        answer.notes.append(f"Left out, for {free:,} MB of free memory: the parents of {megabytes} MB of {gone}.")
    return rivals[:room]


def main(measure: Callable[[Options], Answer]) -> None:
    """The command line of each question's file."""
    from report import as_json, as_text

    parser = argparse.ArgumentParser(description=sys.modules[measure.__module__].__doc__)
    add_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="also write all samples there")
    given = parser.parse_args()
    options = options_from(given)
    answer = measure(options)
    print(as_text(answer))
    if given.json:
        Path(given.json).write_text(as_json([answer], options), encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every benchmark understands."""
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of each question's own (not in cycles.py)")
    parser.add_argument("--quick", action="store_true", help="few rounds, small parents: shows that it works, no more")
    parser.add_argument("--seed", type=int, help="for the order within the rounds (default: random)")


def options_from(given: argparse.Namespace) -> Options:
    """From the parsed command line; prints the seed."""
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 32)
    load = os.getloadavg()[0]
    print(f"seed {seed}, load {load:.2f}", flush=True)
    if load > BUSY:
        print("This machine is busy: medians will be too high, and unequally so.", flush=True)
    return Options(rounds=given.rounds, quick=given.quick, seed=seed, load=load)
