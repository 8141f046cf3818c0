"""`procession ps` and `procession tree` as text: for a terminal with colours and cut to its width, for a pipe plain
and whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from procession.observe.families import Family, Survey
from procession.observe.forest import Node, Zombie, describe

__all__ = ["Paint", "notes", "process_lines", "tree_lines", "zombie_lines"]

_COLUMNS = ("PID", "PARENT", "STATE", "CPU", "MEMORY", "AGE", "NAME", "WAITS FOR")
_LEFT = {"STATE", "NAME", "WAITS FOR"}


class Paint:
    """Colours, where they are wanted."""

    def __init__(self) -> None:
        self.wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.wanted else text

    def line(self, text: str, facts: dict[str, Any] | None = None) -> str:
        """A line cut to the terminal's width, dim for a helper of ours, red for a zombie."""
        if self.width and len(text) > self.width:
            text = text[: self.width - 1] + "…"
        if facts is None:
            return text
        if facts["state"] == "zombie":
            return self("31", text)
        return self("2", text) if facts["kind"] in ("zygote", "spare", "guard", "runner") else text


def title(family: Family, paint: Paint) -> str:
    """One line on the family as a whole."""
    h = family.header
    counts = [f"{h.started} started", f"{h.most_alive} at most alive at once"]
    counts += [f"{n} {word}" for n, word in ((h.failed, "failed"), (h.killed, "killed"), (h.left_over, "left over")) if n]
    return paint("1", f"family {family.id}") + ": " + ", ".join(counts)


def _cells(facts: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(facts["pid"]), str(facts["parent"]), facts["state"], _seconds(facts["cpu_seconds"]),
        _memory(facts["memory_kib"]), _age(facts["age_seconds"]), _name(facts), facts["waits_for"] or "",
    )  # fmt: skip


def _name(facts: dict[str, Any]) -> str:
    marks = [mark for mark, given in (("detached", facts["detached"]), (facts["kind"], facts["kind"] == "spare")) if given]
    marks = [mark for mark in marks if mark != facts["name"]]
    return str(facts["name"]) + (f" ({', '.join(marks)})" if marks else "")


def process_lines(survey: Survey, paint: Paint) -> Iterator[str]:
    """The table of `procession ps`."""
    for family in survey.families:
        yield paint.line(title(family, paint)) if not paint.wanted else title(family, paint)
        rows = [describe(m.stat, m) for _, m in sorted(family.members.items())]
        yield from _aligned(rows, paint)
        yield ""


def _aligned(rows: list[dict[str, Any]], paint: Paint) -> Iterator[str]:
    cells = [_COLUMNS, *map(_cells, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    for row, facts in zip(cells, [None, *rows], strict=True):
        parts = [
            text.ljust(width) if name in _LEFT else text.rjust(width)
            for text, width, name in zip(row, widths, _COLUMNS, strict=True)
        ]
        line = paint.line("  " + "  ".join(parts).rstrip(), facts)
        yield paint("4", line) if facts is None else line


def tree_lines(node: Node, paint: Paint, lead: str = "", last: bool | None = None) -> Iterator[str]:
    """The tree below a process."""
    facts = describe(node.stat, node.member)
    joint = "" if last is None else "└─ " if last else "├─ "
    yield paint.line(lead + joint + _leaf(facts), facts)
    below = lead + ("" if last is None else "   " if last else "│  ")
    for i, child in enumerate(node.children):
        yield from tree_lines(child, paint, below, i == len(node.children) - 1)


def _leaf(facts: dict[str, Any]) -> str:
    state = facts["state"] + (f" ({facts['waits_for']})" if facts["waits_for"] else "")
    what = "" if facts["kind"] != "plain" else f"  {facts['command'] or '-'}"
    return (
        f"{facts['pid']} {_name(facts)}  {state}  cpu {_seconds(facts['cpu_seconds'])}"
        f"  {_memory(facts['memory_kib'])}  {_age(facts['age_seconds'])}{what}"
    )


def zombie_lines(zombies: Iterable[Zombie], paint: Paint) -> Iterator[str]:
    """Who has not waited for whom."""
    for zombie in zombies:
        parent = f"{zombie.parent.pid} ({zombie.parent.name})" if zombie.parent else "its parent"
        yield paint("31", f"zombie {zombie.stat.pid} ({zombie.stat.name}): {parent} has not waited for it")


def notes(survey: Survey) -> Iterator[str]:
    """What could not be shown."""
    if survey.unreadable:
        count = survey.unreadable
        yield f"note: {count} process{'es' * (count > 1)} of other users could not be read"
    yield from (f"note: {text}" for text in survey.refused)


def _seconds(value: float) -> str:
    return f"{value:.2f}s" if value < 100 else _age(value)


def _age(value: float) -> str:
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if value >= size:
            return f"{int(value // size)}{unit}{int(value % size // smaller):02}{name}"
    return f"{value:.1f}s"


def _memory(kib: int) -> str:
    return f"{kib}K" if kib < 1024 else f"{kib / 1024:.1f}M" if kib < 1 << 20 else f"{kib / (1 << 20):.2f}G"
