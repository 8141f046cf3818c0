"""Runs all benchmarks, one after another, and writes the results as JSON, a page and a picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import array_memory
import arrays
import await_item
import await_many
import await_process
import await_task
import burst
import contended
import counter
import cycles
import dictionaries
import first_line
import handover
import import_time
import kill_join
import lock_death
import many_locks
import memory
import messages
import pool_arrays
import pool_bytes
import pool_chunks
import pool_death
import pool_latency
import pool_noop
import pool_opening
import pool_queued
import pool_stream
import round_trips
import segments
import start_join
import uncontended
from answer import Answer
from harness import add_arguments, options_from
from report import as_json, as_markdown, as_text, draw

import dispatch

PROCESSES = (start_join, first_line, burst, kill_join, memory, import_time, cycles)
SYNCHRONISATION = (uncontended, contended, handover, lock_death, many_locks)
SHARING = (messages, round_trips, counter, dictionaries, arrays, array_memory, segments)
POOLS = (pool_noop, pool_chunks, pool_stream, pool_latency, pool_bytes, pool_arrays, pool_opening, pool_death, pool_queued)
AWAITING = (await_task, await_process, await_item, await_many, dispatch)
QUESTIONS = PROCESSES + SYNCHRONISATION + SHARING + POOLS + AWAITING
PARTS = {"processes": PROCESSES, "synchronisation": SYNCHRONISATION, "sharing": SHARING, "pools": POOLS, "awaiting": AWAITING}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    known = {question.__name__: (question,) for question in QUESTIONS} | PARTS
    parser.add_argument("--only", nargs="+", choices=known, default=list(PARTS), metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results", metavar="DIRECTORY")
    given = parser.parse_args()
    options = options_from(given)
    answers: list[Answer] = []
    chosen = [question for name in given.only for question in known[name]]
    for question in (question for question in QUESTIONS if question in chosen):
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
