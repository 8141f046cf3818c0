"""What goes on in a supervisor: children end, and are started anew.

    a child ends ──▶ is it wanted? ──no──▶ it is over
                          │ yes
                     too often? ──yes──▶ all are ended
                          │ no
                     a repair: end those that go with it, one after another, the last first;
                               then start all of them anew, in order

One repair at a time; ends that have nothing to do with it wait for the next. What happens at an end happens in the thread of
callbacks, the starting in that of users' callbacks (core/callers.py), for it pickles.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procession.core import callers
from procession.errors import RestartLimit
from procession.scopes.core import Core
from procession.scopes.restarts import Intensity, affected, is_wanted

if TYPE_CHECKING:
    from procession.process.process import Process
    from procession.scopes.supervisor import AnyChild as Child

__all__ = ["Keeper"]


class _Repair:
    """Under way: `stop` are to be ended, the last one first, `start` to be started then."""

    def __init__(self, stop: list[Child], start: list[Child]) -> None:
        self.stop = stop
        self.start = start
        self.begun = False  # the starting


class Keeper(Core):
    """Of one supervisor. Its members are its children, in the order of their start; one that is about to be started anew is
    one."""

    strategy: str
    intensity: Intensity

    def keep(self, strategy: str, intensity: Intensity) -> None:
        """How it restarts."""
        self.strategy = strategy
        self.intensity = intensity
        self._repair: _Repair | None = None
        self._ends: list[tuple[Child, BaseException | None]] = []  # that nobody has seen to

    # --- ends. In the thread of callbacks ---

    def child_over(self, handle: Any, process: Process) -> None:
        child: Child = handle
        self.note_dead(process)
        failed = child.judge(process, self.heard(child))
        with self.lock:
            child.alive = False
            repair = self._repair
            ended = self.why is not None
            stopped = repair is not None and child in repair.stop
            if stopped and repair is not None:
                repair.stop.remove(child)
        if ended or child.unwanted:
            child.asked = True  # (by a repair, or it would have been started anew: that it is not is because all are ended)
            self._bury(child)
        elif not stopped:
            self._see_to(child, failed)
        self._go_on()

    def _bury(self, child: Child, error: BaseException | None = None) -> None:
        """It is over for good."""
        child.conclude(error)
        self.gone(child)
        if self.why is not None:
            self.end_members()

    def _see_to(self, child: Child, failed: bool, error: BaseException | None = None) -> None:
        """It has ended by itself, or could not be started (`error`)."""
        if not is_wanted(child.restart, failed):
            self._bury(child, error)
            return
        with self.lock:
            exceeded = self.intensity.is_exceeded(time.monotonic())
        if exceeded:
            self._give_up(child, error)
            return
        with self.lock:
            self._ends.append((child, error))

    def _give_up(self, child: Child, error: BaseException | None) -> None:
        intensity = self.intensity
        limit = RestartLimit(self.name, child.name, intensity.most, intensity.period, child.restarts)
        self.fail(_Limit(limit, child))
        self._bury(child, error)
        self.end_all()

    # --- repairs ---

    def _go_on(self) -> None:
        """Do the next step of the repair, or begin the next one."""
        with self.lock:
            if self.why is not None:
                lost = self._give_back()
            else:
                lost = []
                if self._repair is None and self._ends:
                    self._begin(self._ends.pop(0)[0])
            repair = self._repair
            stop = next((child for child in reversed(repair.stop) if child.alive), None) if repair is not None else None
            start = repair is not None and stop is None and not repair.begun
            if repair is not None and start:
                repair.begun = True
        for child in lost:
            self._bury(child, CancelledError())
        if stop is not None:
            if not stop.told:
                stop.asked = stop.restart == "temporary"  # (it is not started anew)
                stop.told = True
                stop.end()
        elif start:
            callers.call(self._restart, repair)

    def _begin(self, child: Child) -> None:
        """(The lock is held.)"""
        started = [other for other in self.members if other.has_process]  # (who is about to be started is no part of it)
        group: list[Child] = affected(self.strategy, started, child)
        others = [other for other, _ in self._ends if other in group]
        self._ends = [end for end in self._ends if end[0] not in others]
        stop = [other for other in group if other.alive]
        self._repair = _Repair(stop, group)

    def _give_back(self) -> list[Child]:
        """All are being ended: those that do not run, and will not. (The lock is held.)"""
        self._ends.clear()
        self._repair = None
        return [child for child in self.members if not child.alive and child.has_process and not child.starting]

    def _restart(self, repair: _Repair) -> None:
        """Start them, in order. In the thread of users' callbacks."""
        for child in repair.start:
            with self.lock:
                if self._repair is not repair or self.why is not None:
                    break
                if child not in self.members or child.alive:
                    continue
                child.starting = True
            if child.restart == "temporary" or child.unwanted:  # (it was ended with the others, and is not wanted again)
                child.starting = False
                self._bury(child)
                continue
            self._launch(child)
        with self.lock:
            if self._repair is repair:
                self._repair = None
        self._go_on()

    def _launch(self, child: Child) -> None:
        error: BaseException | None = None
        try:
            child.restarts += 1
            child.launch()
        except BaseException as reason:
            error = reason
        child.starting = False
        if error is not None:
            self._see_to(child, True, error)
        elif child.unwanted:  # (meanwhile)
            child.asked = True
            child.end()
        elif self.why is not None:
            self.end_members()

    # --- ending ---

    def cancel(self, handle: Any) -> None:
        """End one child for good."""
        handle.unwanted = handle.asked = True
        handle.end()
        self._go_on()

    def end_members(self) -> None:
        """One after another, the last one first."""
        with self.lock:
            running = [child for child in self.members if child.alive]
            last = running[-1] if running else None
        if last is not None and not last.told:
            last.asked = True
            last.end()
            last.told = True

    def end_all(self) -> None:
        super().end_all()
        self._go_on()

    def kill_all(self) -> None:
        super().kill_all()
        self._go_on()


class _Limit:
    """A failure, with what the child ended with as its cause, which is unpickled by who wants to know."""

    def __init__(self, limit: RestartLimit, child: Child) -> None:
        self.name = child.name
        self._limit = limit
        self._child = child

    def exception(self, timeout: float) -> BaseException:
        try:
            self._limit.__cause__ = self._child.exception(timeout)
        except Exception:
            pass  # (it was cancelled)
        return self._limit
