"""How long does `import procession` take, against `import multiprocessing`?"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from answer import Answer, Goal, Series
from harness import Options, environment, main

__all__ = ["measure"]

_CODE = "import time; begin = time.perf_counter_ns(); {statement}; print(time.perf_counter_ns() - begin)"
_STATEMENT = "the import statement"
_PROGRAM = "the whole interpreter, from launch to exit"
_STATEMENTS = {"procession": "import procession", "import multiprocessing": "import multiprocessing"}


def measure(options: Options) -> Answer:
    """Fresh interpreters, in random order."""
    answer = Answer("import_time", "`import procession` and `import multiprocessing`, each in a fresh interpreter.")
    dice = random.Random(f"{options.seed} import_time")
    samples: dict[tuple[str, str], list[float]] = {}
    order = list(_STATEMENTS)
    for name in order:
        _run(name)  # writes the byte code, fills the page cache
    for _ in range(options.choose(60, 5)):
        dice.shuffle(order)
        for name in order:
            time.sleep(options.settle)
            statement, program = _run(name)
            samples.setdefault((_STATEMENT, name), []).append(statement)
            samples.setdefault((_PROGRAM, name), []).append(program)
    for scenario in (_STATEMENT, _PROGRAM):
        answer.series += [Series(scenario, name, "µs", samples[scenario, name]) for name in _STATEMENTS]
    _goal(answer)
    return answer


def _run(name: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _CODE.format(statement=_STATEMENTS[name])]
    begin = time.perf_counter_ns()
    output = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True).stdout
    return int(output) / 1e3, (time.perf_counter_ns() - begin) / 1e3


def _goal(answer: Answer) -> None:
    ours, theirs = answer.get(_STATEMENT), answer.get(_STATEMENT, "import multiprocessing")
    if ours and theirs:
        times = ours.median / theirs.median
        what = "`import procession`, against `import multiprocessing`"
        answer.goals.append(Goal(what, "at most twice", f"{times:.2f} times", times <= 2))


if __name__ == "__main__":
    main(measure)
