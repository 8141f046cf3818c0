"""Runs all benchmarks, one after another, and writes the results as JSON, a page and a picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import burst
import cycles
import first_line
import import_time
import kill_join
import memory
import start_join
from answer import Answer
from harness import add_arguments, options_from
from report import as_json, as_markdown, as_text, draw

QUESTIONS = (start_join, first_line, burst, kill_join, memory, import_time, cycles)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results", metavar="DIRECTORY")
    given = parser.parse_args()
    options = options_from(given)
    answers: list[Answer] = []
    for question in QUESTIONS:
        begin = time.monotonic()
        answers.append(question.measure(options))
        print(as_text(answers[-1]), f"({time.monotonic() - begin:.0f} s)\n", sep="\n", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = draw(answers, given.out / "latest.png")
    (given.out / "latest.json").write_text(as_json(answers, options), encoding="utf-8")
    page = as_markdown(answers, options, "latest.png" if drawn else None)
    (given.out / "README.md").write_text(page, encoding="utf-8")
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
