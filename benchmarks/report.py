"""What was found, as text, JSON, Markdown and a picture."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from answer import Answer, Series
from harness import BUSY, Options
from rivals import OURS, is_limit, label

__all__ = ["as_json", "as_markdown", "as_text", "draw", "machine"]

_LIBRARIES = ("procession", "cloudpickle", "numpy", "faster-fifo", "iceoryx2", "UltraDict", "loky", "pebble", "mpire", "joblib",
              "ray", "distributed", "aiomultiprocess")  # fmt: skip
_COLUMNS = ("", "median", "quartiles", "samples", "procession is")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _first("/proc/cpuinfo", "model name"),
        "memory_mib": int(_first("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "huge_pages": Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().strip(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _first(path: str, key: str) -> str:
    with open(path, encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "0 unknown")


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


# --- tables ---


def _figure(value: float) -> str:
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _compared(series: Series, ours: Series | None) -> str:
    if ours is None or series is ours:
        return ""
    factor = ours.times_better(series)
    if is_limit(series.rival):
        return f"{1 / factor:.1f} × the limit" if factor else ""
    if factor == 1:
        return "equal"
    return f"{factor:.1f} × better" if factor > 1 else f"{_inverse(factor)} WORSE"


def _inverse(factor: float) -> str:
    return f"{1 / factor:.1f} ×" if factor else "infinitely"


def _rows(answer: Answer, scenario: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for series in answer.series:
        if series.scenario == scenario:
            low, high = series.quartiles
            spread = f"{_figure(low)} to {_figure(high)}"
            compared = _compared(series, answer.get(scenario))
            median = f"{_figure(series.median)} {series.unit}".strip()
            rows.append((label(series.rival), median, spread, str(len(series.samples)), compared))
    return rows


def _scenarios(answer: Answer) -> list[str]:
    return list(dict.fromkeys(series.scenario for series in answer.series))


def _goal_rows(answer: Answer) -> list[tuple[str, ...]]:
    return [(goal.what, goal.wanted, goal.reached, "yes" if goal.met else "NO") for goal in answer.goals]


_GOAL_COLUMNS = ("demanded", "wanted", "reached", "met")


def as_text(answer: Answer) -> str:
    """For a terminal."""
    parts = [answer.question]
    for scenario in _scenarios(answer):
        parts += ["", scenario, _text_table(_COLUMNS, _rows(answer, scenario))]
    if answer.goals:
        parts += ["", _text_table(_GOAL_COLUMNS, _goal_rows(answer))]
    parts += ["", *worse(answer), *answer.notes]
    return "\n".join(parts)


def _text_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in [columns, *rows])  # fmt: skip


def _markdown_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def worse(answer: Answer) -> list[str]:
    """One line for each rival that is ahead of us anywhere."""
    lines = []
    for series in answer.series:
        ours = answer.get(series.scenario)
        if ours and not series.rival.startswith(OURS) and not is_limit(series.rival) and ours.times_better(series) < 1:
            beside = f"{_figure(series.median)} beside {_figure(ours.median)} {series.unit}".strip()
            lines.append(f"Ahead in {answer.name}, {series.scenario}: {label(series.rival)}, {beside}.")
    return lines


# --- files ---


def as_json(answers: Iterable[Answer], options: Options) -> str:
    """Everything, with every sample."""
    found = [asdict(answer) for answer in answers]
    for answer in found:
        answer["series"] = [_series_facts(Series(**series)) for series in answer["series"]]
    facts = {"machine": machine(), "options": asdict(options), "answers": found}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _series_facts(series: Series) -> dict[str, Any]:
    facts = asdict(series) | {"median": series.median, "quartiles": series.quartiles}
    return facts | {"samples": [round(sample, 3) for sample in series.samples]}


def as_markdown(answers: list[Answer], options: Options, picture: str | None) -> str:
    """The page beside the JSON."""
    facts = machine()
    parts = ["# Results", ""]
    parts += [f"**Preliminary: {doubt}.**\n" for doubt in _doubts(options)]
    parts += [
        f"{facts['date']}. {facts['cores']} cores, {facts['processor']}, {facts['memory_mib']:,} MiB; "
        f"Linux {facts['kernel']}; Python {facts['python']}. Load before: {options.load:.2f}. Seed {options.seed}.",
        "How it was measured, and what it cannot tell: [../README.md](../README.md). Made by `python benchmarks/run.py`"
        + (" with `--quick`." if options.quick else "."),
        "",
        "## Demanded and reached",
        "",
        _markdown_table(_GOAL_COLUMNS, [row for answer in answers for row in _goal_rows(answer)]),
        "",
        "## Where a rival is ahead",
        "",
        *([f"- {line}" for answer in answers for line in worse(answer)] or ["Nowhere in this run."]),
    ]
    parts += ["", f"![medians and quartiles]({picture})"] if picture else []
    for answer in answers:
        parts += ["", *_markdown_answer(answer)]
    return "\n".join(parts) + "\n"


def _doubts(options: Options) -> list[str]:
    """Why these figures should not be quoted."""
    doubts = []
    if options.quick or options.rounds:
        doubts.append("a run with few samples, which shows that the benchmarks work")
    if options.load > BUSY:
        doubts.append(f"the machine was busy, with a load of {options.load:.2f} before we began")
    return doubts


def _markdown_answer(answer: Answer) -> list[str]:
    parts = [f"## {answer.name}", "", answer.question]
    for scenario in _scenarios(answer):
        parts += ["", f"**{scenario}**", "", _markdown_table(_COLUMNS, _rows(answer, scenario))]
    if answer.notes:
        parts += ["", *[f"- {note}" for note in answer.notes]]
    return parts


def draw(answers: list[Answer], path: Path) -> bool:
    """Medians and quartiles as bars; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no picture", file=sys.stderr)
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(answer, scenario) for answer in answers for scenario in _scenarios(answer)]
    columns = 2
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(15, 2.6 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (answer, scenario) in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, answer, scenario)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
    return True


def _draw_panel(axis: Any, answer: Answer, scenario: str) -> None:
    chosen = [series for series in answer.series if series.scenario == scenario]
    better = "more is better" if chosen[0].more_is_better else "less is better"
    unit = chosen[0].unit or "number"
    axis.set_title(f"{answer.name}: {scenario}\n({unit}; {better})", fontsize=9)
    axis.tick_params(labelsize=8)
    (_draw_course if chosen[0].in_time else _draw_bars)(axis, chosen)


def _draw_course(axis: Any, chosen: list[Series]) -> None:
    for series in chosen:
        looks = range(1, len(series.samples) + 1)
        axis.plot(looks, series.samples, color=_colour(series), label=label(series.rival), marker="o", markersize=3)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)


def _colour(series: Series) -> str:
    return "#c2410c" if series.rival.startswith(OURS) else "#9ca3af" if is_limit(series.rival) else "#3b6ea5"


def _draw_bars(axis: Any, chosen: list[Series]) -> None:
    medians = [series.median for series in chosen]
    below = [max(0.0, series.median - series.quartiles[0]) for series in chosen]
    above = [max(0.0, series.quartiles[1] - series.median) for series in chosen]
    colours = [_colour(series) for series in chosen]
    axis.barh([label(series.rival) for series in chosen], medians, xerr=[below, above], color=colours, capsize=2)
    axis.invert_yaxis()
    if min(medians) > 0 and max(medians) > 20 * min(medians):
        axis.set_xscale("log")
        axis.set_xlim(left=min(medians) / 3)
