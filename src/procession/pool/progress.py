"""How far a map is: told to a function of the user's, or shown as a bar."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

__all__ = ["Indicator", "Progress", "make"]

#: So often at most the bar is drawn, in 1/s.
REDRAWS = 20


class Progress(Protocol):
    """What is called when results have come: with how many there are, and how many there will be (None: not known)."""

    def __call__(self, done: int, total: int | None, /) -> object: ...


class Indicator:
    """How far one map is. In the parent only; not thread-safe. This one tells nobody."""

    __slots__ = ("done", "total")

    def __init__(self, total: int | None) -> None:
        self.done = 0
        self.total = total

    def advance(self, count: int = 1) -> None:
        """So many more results are there."""
        self.done += count

    def finish(self) -> None:
        """No more will come, be it that all are there or that the map was given up. May be called twice."""


class _Teller(Indicator):
    """Tells a function of the user's, in the thread that calls `advance`."""

    __slots__ = ("_function", "_reported")

    def __init__(self, function: Progress, total: int | None) -> None:
        super().__init__(total)
        self._function = function
        self._reported = False

    def advance(self, count: int = 1) -> None:
        self.done += count
        try:
            self._function(self.done, self.total)
        except Exception:
            if not self._reported:
                self._reported = True
                _report(self._function)


def _report(function: Progress) -> None:
    try:
        sys.stderr.write(f"exception in the progress callback {function!r} (it will not be reported again):\n")
        sys.stderr.write(traceback.format_exc())
    except Exception:
        pass  # (there is no standard error to print on)


class _Bar(Indicator):
    """A bar of rich's on standard error. Its thread draws it, and looks at `done` when it does, so that `advance` costs nothing
    and the last state is always shown."""

    __slots__ = ("_bar",)

    def __init__(self, bar: Any, total: int | None) -> None:
        super().__init__(total)
        self._bar = bar
        bar.follow(self)
        bar.start()

    def finish(self) -> None:
        thread = getattr(self._bar.live, "_refresh_thread", None)
        with suppress(Exception):  # (standard error may be gone)
            self._bar.stop()
        if thread is not None:
            thread.join(1.0)  # (rich only tells it to end)


def _rich_bar() -> Any:
    try:
        rich: Any = import_module("rich.progress")
        console = import_module("rich.console").Console(stderr=True)
    except ImportError:
        raise ImportError(
            "progress=True draws its bar with rich, which is not installed: pip install 'procession[progress]'"
        ) from None

    base: Any = rich.Progress

    class Bar(base):  # type: ignore[misc]
        """One that asks how far the map is whenever it is drawn."""

        def follow(self, indicator: Indicator) -> None:
            self.indicator = indicator
            self.add_task("", total=indicator.total)

        def get_renderables(self) -> Any:
            for task in self.task_ids:
                self.update(task, completed=self.indicator.done)
            return super().get_renderables()

    columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    # Standard output and standard error stay as they are: a child that is forked meanwhile would have the stand-ins.
    return Bar(*columns, console=console, refresh_per_second=REDRAWS, redirect_stdout=False, redirect_stderr=False)


def make(progress: Progress | bool | None, total: int | None) -> Indicator:
    """What `progress` asks for: a function to be called, True for a bar, or None or False for nothing.

    An exception of the function is reported on standard error once, and harms nothing. Raises ImportError if there is to be a
    bar and rich is not there, TypeError if `progress` is none of these.
    """
    if progress is None or progress is False:
        return Indicator(total)
    if progress is True:
        return _Bar(_rich_bar(), total)
    if not callable(progress):
        raise TypeError(f"progress must be a function of two arguments, or True or False; got {progress!r}")
    return _Teller(progress, total)
