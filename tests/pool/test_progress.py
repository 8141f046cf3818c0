"""How far a map is."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from procession.pool import progress as module
from procession.pool.progress import make

needs_rich = pytest.mark.skipif(find_spec("rich") is None, reason="rich is not installed")


def test_a_function_is_told() -> None:
    told: list[tuple[int, int | None]] = []
    indicator = make(lambda done, total: told.append((done, total)), 10)
    indicator.advance()
    indicator.advance(4)
    indicator.finish()
    indicator.finish()
    assert told == [(1, 10), (5, 10)]


def test_a_total_may_be_unknown() -> None:
    told: list[tuple[int, int | None]] = []
    make(lambda done, total: told.append((done, total)), None).advance(3)
    assert told == [(3, None)]


def test_an_exception_is_reported_once_and_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[int] = []

    def bad(done: int, total: int | None) -> None:
        told.append(done)
        raise ValueError("no")

    indicator = make(bad, 2)
    indicator.advance()
    indicator.advance()
    indicator.finish()
    assert told == [1, 2]
    assert capsys.readouterr().err.count("ValueError: no") == 1


def test_ctrl_c_in_it_passes() -> None:
    def interrupted(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(interrupted, 1).advance()


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_may_be_wanted(progress: Any) -> None:
    indicator = make(progress, 3)
    indicator.advance(2)
    indicator.finish()
    assert indicator.done == 2


@pytest.mark.parametrize("progress", [1, "yes", [1]])
def test_anything_else_is_a_mistake(progress: Any) -> None:
    with pytest.raises(TypeError, match="progress must be"):
        make(progress, 3)


# --- the bar ---


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'procession[progress]'")):
        make(True, 3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], io.StringIO]:
    """Makes standard error a terminal, from within the test: pytest sets its own when the test begins."""

    def open_terminal() -> io.StringIO:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        return terminal

    return open_terminal


@needs_rich
def test_the_last_state_is_shown(open_terminal: Callable[[], io.StringIO]) -> None:
    terminal = open_terminal()
    indicator = make(True, 1000)
    for _ in range(900):
        indicator.advance()
    indicator.finish()
    indicator.finish()
    assert "900/1000" in terminal.getvalue()


@needs_rich
def test_it_is_drawn_by_the_clock_and_not_at_each_step(
    open_terminal: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal()
    assert module.REDRAWS <= 20
    monkeypatch.setattr(module, "REDRAWS", 0.01)
    indicator = make(True, 100_000)
    for _ in range(100_000):
        indicator.advance()
    indicator.finish()
    assert terminal.getvalue().count("/100000") <= 4


@needs_rich
def test_a_long_task_after_a_quick_one_is_shown_as_it_is(open_terminal: Callable[[], io.StringIO]) -> None:
    from procession.testing.watch import eventually

    terminal = open_terminal()
    indicator = make(True, None)
    indicator.advance()
    indicator.advance()
    eventually(lambda: "2/?" in terminal.getvalue(), what="nothing happened after the second step")
    indicator.finish()


@needs_rich
def test_its_thread_ends_with_it(open_terminal: Callable[[], io.StringIO]) -> None:
    terminal = open_terminal()
    before = set(threading.enumerate())
    output, errors = sys.stdout, sys.stderr
    indicator = make(True, 3)
    assert (sys.stdout, sys.stderr) == (output, errors)
    indicator.finish()
    assert set(threading.enumerate()) <= before
    assert terminal.getvalue().endswith(("\x1b[?25h", "\n"))


@needs_rich
def test_without_a_terminal_the_end_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    indicator = make(True, 3)
    indicator.advance(3)
    indicator.finish()
    assert "3/3" in stderr.getvalue()
