"""Time, in a pool: tasks that run too long or are wanted no more are stopped, step by step.

    exception (TaskStopped in the task) ──grace──▶ SIGTERM ──grace──▶ SIGKILL

each to the one worker that has it, if it has it then.

What ran when is read from the workers' records (`task_of`), so a task costs nothing while it runs. The ladder is climbed by
the collector thread, which sleeps until the next step is due.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.pool import messages, verdicts
from procession.pool.messages import Kind

if TYPE_CHECKING:
    from procession.pool.engine import Engine
    from procession.pool.member import Member
    from procession.pool.task import Task

__all__ = ["Stopper"]


class Stopper:
    """What is due when. The engine's lock guards it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # --- time ---

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call it then (monotonic seconds), in the collector thread, with the engine's lock."""
        first = not self._due or when < self._due[0][0]
        heapq.heappush(self._due, (when, next(self._order), call))
        if first:
            self._engine.results._nudge()

    def left(self) -> float | None:
        """Seconds until something is due."""
        due = self._due
        return max(due[0][0] - time.monotonic(), 0.0) if due else None

    def tick(self) -> None:
        """Do what is due."""
        if not self._due or self._due[0][0] > time.monotonic():
            return
        with self._engine.lock:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def clear(self) -> None:
        self._due.clear()

    # --- time limits ---

    def watch(self, task: Task) -> None:
        """It was handed to the workers: its time limit, if it has one, is due at the earliest after so long."""
        timeout = task.options.timeout
        if timeout is not None:
            number = task.number
            self.at(time.monotonic() + timeout, lambda: self._limit(task, number))

    def _limit(self, task: Task, number: int) -> None:
        """Its time is over, if it began as soon as it could."""
        if self._engine.held.get(number) is not task or task.more().stopping:
            return
        timeout = task.options.timeout or 0.0
        found = self._engine.crew.with_task(number)
        since = time.monotonic() if found is None else found[1]  # (not begun: it cannot be over before so long)
        if found is not None and since + timeout <= time.monotonic():
            self.stop(task, "timeout")
        else:
            self.at(since + max(timeout, 0.001), lambda: self._limit(task, number))

    # --- the ladder ---

    def stop(self, task: Task, reason: str) -> None:
        """Stop it, if it runs."""
        extra = task.more()
        if extra.stopping is not None and reason != "cancelled":
            return
        begun, extra.stopping = extra.stopping, reason
        if begun is None:
            self._climb(task, task.number, "exception")

    def go_on(self, task: Task) -> None:
        """It is known now who has it in hand. (When it was to be stopped, that may have been on the way.)"""
        if not task.more().step:
            self._climb(task, task.number, "exception")

    def _climb(self, task: Task, number: int, step: str) -> None:
        found = self._engine.crew.with_task(number)
        if self._engine.held.get(number) is not task or found is None:
            return  # it has ended, or its outcome is on the way
        member, extra = found[0], task.more()
        extra.step = step
        now = time.monotonic()
        if step == "exception":
            what = number | (messages.UNWANTED if extra.stopping == "cancelled" else 0)
            self.ask(member, what, lambda: extra.step == "exception" and self._engine.held.get(number) is task)
            self.at(now + extra.options.grace, lambda: self._climb(task, number, "SIGTERM"))
        elif step == "SIGTERM":
            member.process.terminate()
            self.at(now + extra.options.grace, lambda: self._climb(task, number, "SIGKILL"))
        else:
            member.process.kill()

    def ask(self, member: Member, what: int, go_on: Callable[[], bool], pause: float = 0.005) -> None:
        """Ask a worker to stop a task, or to leave. Again and again, while it lives and `go_on()`: a signal that comes just
        before a system call wakes nobody."""
        if self._engine.crew.members.get(member.id) is not member or not go_on():
            return
        _native.task_ask_stop(member.member, what)
        member.process._popen.child.signal(messages.SOFT_SIGNAL)
        self.at(time.monotonic() + pause, lambda: self.ask(member, what, go_on, 2 * pause))

    def settle(self, task: Task, kind: int) -> bool:
        """An outcome of a task that has options, or is being stopped. True if nothing more is to be done about it."""
        if kind == Kind.VALUE or task.extra is None:
            return False
        if task.extra.stopping == "timeout":
            task.fail(verdicts.timed_out(task))
            return True
        if task.extra.stopping == "cancelled":
            task.fail(verdicts.cancelled())
            return True
        return False

    def lost(self, task: Task, member: Any) -> None:
        """The worker that had it died. With the lock; it is held until this has been seen to."""
        extra = task.more()
        extra.attempts += 1
        if extra.stopping == "timeout":
            task.fail(verdicts.timed_out(task))
        elif extra.stopping == "cancelled":
            task.fail(verdicts.cancelled())
        elif extra.attempts <= extra.options.retries and not self._engine.crew.ended:
            self._engine.again(task)
        else:
            task.fail(verdicts.death(member, task))
