"""The worker's side: a loop that takes a task, does it, and says how it ended. The pool's side of it is crew.py.

Whatever a task does, only that task ends by it: its arguments are unpickled, its function is called and its result is pickled
within one guard, in which an order to stop (messages.SOFT_SIGNAL) raises TaskStopped.
"""

from __future__ import annotations

import faulthandler  # noqa: F401  (so that the zygote has it: obituary.enable)
import os
import signal
import sys
import time
from queue import Empty
from typing import TYPE_CHECKING, Any, NamedTuple

from procession import _native
from procession.core.coroutines import pending
from procession.core.remote import represented, written
from procession.errors import TaskStopped
from procession.pool import caps, messages, obituary, relay, service, tokens
from procession.pool.functions import Loader
from procession.pool.messages import Kind, Shape
from procession.share import queues  # noqa: F401  (so that the zygote has it: each worker is handed two)

if TYPE_CHECKING:
    from procession.pool.looping import Looping

__all__ = ["Functions", "Settings", "WorkerInfo", "current_worker", "main", "myself"]

#: How often, in nanoseconds, a worker that is busy looks how much memory it has.
LOOK = 20_000_000
FOR_EVER = 2**62


class Settings(NamedTuple):
    """What a worker is told at its start, in plain values: the start goes without pickle then."""

    number: int
    heir: bool  # the one worker of a nested pool that needs no token
    nested: bool
    siblings: int
    blackbox: str | None
    level: int | None  # of the parent's root logger; None: nobody logs
    caps: dict[str, str]
    max_tasks: int | None
    max_memory: int | None
    max_age: float | None


class Functions(NamedTuple):
    """The user's, if there are any."""

    initializer: tuple[Any, tuple[Any, ...]] | None
    exit_function: tuple[Any, tuple[Any, ...]] | None


class WorkerInfo:
    """The worker in which the caller runs: `id` (1, 2, ... in the order in which the pool started them), `tasks_done`, and
    `state`, a dict that lives as long as the worker, for what its initializer and its tasks want to keep."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.state: dict[str, Any] = {}

    @property
    def tasks_done(self) -> int:
        return _native.work_state()[2]

    def __repr__(self) -> str:
        return f"<worker {self.id}, pid {os.getpid()}, {self.tasks_done} tasks done>"


_here: WorkerInfo | None = None
_me: _Worker | None = None


def current_worker() -> WorkerInfo | None:
    """The worker that this process is; None if it is no pool's worker. Does not block."""
    return _here


def myself() -> _Worker | None:
    """The same, for what else a worker does."""
    return _me


class _Retire(BaseException):
    """Raised in an idle worker that is relieved."""


class _Worker:
    def __init__(self, tasks: Any, results: Any, table: Any, settings: Settings) -> None:
        global _here, _me
        _me = self
        self.tasks = tasks
        self.results = results
        self.loader = Loader(table)
        self.id, self.pid = settings.number, os.getpid()
        self.settings = settings
        self.info = _here = WorkerInfo(self.id)
        self.turn = tokens.Turn("top" if not settings.nested else "heir" if settings.heir else "nested")
        self.born = time.monotonic()
        self.asked = False  # to be relieved
        self.last = False  # has the last task that it may do
        self.gone = False  # has been told to leave, in the middle of something
        self.lanes = service.Service(self, tasks)
        self.loop: Looping | None = None  # where coroutines run, once there was one

    # --- orders ---

    def ordered(self, *_: Any) -> None:
        """The handler of SOFT_SIGNAL."""
        what = _native.task_stop()
        if self.loop is not None and self.loop.ordered(what):
            return
        guarded, idle, _done = _native.work_state()
        if what == messages.RETIRE:
            _native.work_leave()
            if idle:
                raise _Retire
        elif what and what & ~messages.UNWANTED == guarded:
            _native.work_guard(0)
            raise TaskStopped("cancelled" if what & messages.UNWANTED else "timeout")

    # --- tasks ---

    def serve(self) -> None:
        """Until there is nothing more to do here. The inner loop is native (native/py/work.c): it comes back with what is not
        plain, and when it is time to have a look at oneself."""
        last = self.settings.max_tasks
        watched = self.watched
        waits = self.turn.kind != "nested"
        work, known, begin, end = self.tasks._work, self.loader.known, self.turn.begin, self.turn.end
        while not self.gone and (last is None or _native.work_state()[2] < last):
            try:
                if not waits and not self.wait_for_turn():
                    return
                until = time.monotonic_ns() + LOOK if watched or not waits else 0
                most = self.room()
                handed = work(self.results, known, self.id, most, until, begin, end, waits) if most else self.take_last(waits)
            except _Retire:
                return
            if handed is not None:
                if not handed[0]:
                    return
                self.run(*handed[:3]) if handed[3] is None else self.failed(*handed)
            elif _native.task_stop() == messages.RETIRE:
                return
            del handed
            if not waits:
                end()
            if watched:
                self.look()

    @property
    def watched(self) -> bool:
        return self.settings.max_memory is not None or self.settings.max_age is not None

    def room(self) -> int:
        """How many tasks it may do before the last one, or with it if that is what it is at."""
        most = self.settings.max_tasks
        return FOR_EVER if most is None else most - _native.work_state()[2] - (not self.last)

    def wait_for_turn(self) -> bool:
        """In a pool within a task: wait for a task, then for a token to do it with, and take it only then: meanwhile another
        may. False: it is to leave."""
        _native.work_idle(True)
        while not self.tasks._watch_tasks(None):
            pass
        self.turn.begin()
        return _native.work_idle(False)

    def take_last(self, waits: bool) -> Any:
        """The last task that this worker does: its successor may come."""
        try:
            number, aux, body = self.tasks._take_task(None if waits else 0)
        except Empty:
            return None
        if number:
            self.last = True
            self.say(Kind.LAST)
        return number, aux, body, None, None

    def run(self, number: int, aux: int, body: Any) -> None:
        """Do the task and say how it ended. Raises nothing."""
        if aux >> messages.KEY_BITS & 0xFF == Shape.SERVE:
            self.lanes.serve(number, aux & 0xFFFFFFFF)
            return
        if aux >> messages.KEY_BITS & 0xFF == Shape.LOOP:
            self.looping().serve(number, aux & 0xFFFFFFFF)
            return
        began = time.perf_counter_ns()
        try:
            _native.work_guard(number)
            kind, value = self.attempt(aux, body)
            del body
            self.put(number, kind, value, began)
            _native.work_guard(0)
        except BaseException:  # an order to stop, within what is not the task's own code
            self.stopped(number)
        _native.work_done()

    def put(self, number: int, kind: int, value: Any, began: int) -> None:
        """Say how the task ended; if that cannot be pickled, say so instead."""
        while True:
            micro = min((time.perf_counter_ns() - began) // 1000, 0xFFFFFFFF)
            try:
                self.results._end_task(number, kind | self.id << 8 | micro << 24, value)
                return
            except TaskStopped:
                raise
            except BaseException as error:  # (whatever its pickling raises, sys.exit as well)
                kind, value = Kind.UNSENT, (*written(error), represented(value))

    def failed(self, number: int, aux: int, body: Any, error: BaseException, value: Any) -> None:
        """A task that the inner loop did raised something, or returned what could not be put."""
        try:
            _native.work_guard(number)
            if (left := pending(value)) is not None:
                kind, value = self.outcome_of(left)
            elif isinstance(error, TaskStopped):
                kind, value = Kind.STOPPED, None
            elif value is None:
                kind, value = Kind.ERROR, written(error)
            else:
                kind, value = Kind.UNSENT, (*written(error), represented(value))
            del error
            self.put(number, kind, value, time.perf_counter_ns())
            _native.work_guard(0)
        except BaseException:
            self.stopped(number)
        _native.work_done()

    def stopped(self, number: int) -> None:
        _native.work_guard(0)
        self.results._end_task(number, messages.outcome(Kind.STOPPED, self.id), None)

    def attempt(self, aux: int, body: Any) -> tuple[int, Any]:
        """The task's outcome."""
        try:
            if type(body) is _native.Message:
                body = body.load()
            if aux & messages.LIMITED:
                from procession.pool.limits import limited

                with limited(body[0]):
                    return Kind.VALUE, self.finished(self.call(aux, body[1]))
            return Kind.VALUE, self.finished(self.call(aux, body))
        except TaskStopped:
            return Kind.STOPPED, None
        except BaseException as error:
            return Kind.ERROR, written(error)

    def outcome_of(self, coroutine: Any) -> tuple[int, Any]:
        try:
            return Kind.VALUE, self.finished(coroutine)
        except TaskStopped:
            return Kind.STOPPED, None
        except BaseException as error:
            return Kind.ERROR, written(error)

    def finished(self, value: Any) -> Any:
        """What a function returned; if that is a coroutine (of a block, or of a function that was not known for one), or a list
        of them (of `apply`), what comes of it."""
        left = pending(value)
        return value if left is None else self.looping().finish(left)

    def looping(self) -> Looping:
        """The worker's event loop. (To import asyncio takes longer than most tasks.)"""
        if self.loop is None:
            from procession.pool.looping import Looping

            self.loop = Looping(self, self.tasks)
        return self.loop

    def call(self, aux: int, body: Any) -> Any:
        shape = aux >> messages.KEY_BITS & 0xFF
        if shape == Shape.OWN:
            return body[0](*body[1], **body[2])
        key = aux & 0xFFFFFFFF
        function = self.loader.known.get(key) or self.loader.load(key)
        if shape == Shape.CALL:
            return function(*body[0], **body[1])
        if shape == Shape.ONE:
            return function(body)
        if shape == Shape.STAR:
            return function(*body)
        if shape == Shape.MANY:
            return [function(item) for item in body]
        return [function(*item) for item in body]

    # --- what is said about oneself ---

    def say(self, kind: Kind, payload: Any = None) -> None:
        self.results._put_task(self.id, kind, payload)

    def look(self) -> None:
        """Too old, or too big? Then a successor is asked for."""
        settings = self.settings
        if self.asked:
            return
        too_old = settings.max_age is not None and time.monotonic() - self.born > settings.max_age
        if too_old or (settings.max_memory is not None and _resident() > settings.max_memory):
            self.asked = True
            self.say(Kind.LAST, True)

    def relay(self, item: Any) -> None:
        self.results._put_task(self.id, Kind.RECORD, item)


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(tasks: Any, results: Any, table: Any, permits: Any, told: tuple[Any, ...], functions: Functions | None) -> None:
    """A worker's life. The target of its process."""
    settings = Settings(*told)
    caps.apply(settings.caps)
    tokens.adopt(permits, settings.siblings)
    worker = _Worker(tasks, results, table, settings)
    signal.signal(signal.SIGINT, _deaf)  # Ctrl-C is the parent's affair; programs that tasks start hear it
    signal.signal(messages.SOFT_SIGNAL, worker.ordered)
    if settings.blackbox is not None:
        obituary.enable(settings.blackbox)
    if settings.level is not None:
        relay.install(worker.relay, settings.level)
    initializer = functions.initializer if functions is not None else None
    if initializer is not None and not _initialize(worker, *initializer):
        return
    worker.say(Kind.READY)  # (it came so far: one that is killed later is no sign that workers cannot live here)
    try:
        worker.serve()
    finally:
        result = None
        if functions is not None and functions.exit_function is not None:
            result = worker.finished(functions.exit_function[0](*functions.exit_function[1]))
        if worker.loop is not None:
            worker.loop.close()
        worker.say(Kind.GOODBYE, result)


def _initialize(worker: _Worker, function: Any, arguments: tuple[Any, ...]) -> bool:
    try:
        left = pending(function(*arguments))
        if left is not None:
            worker.looping().finish(left, initial=True)
    except BaseException as error:
        if "concurrent.futures" in sys.modules or worker.settings.level is not None:
            import logging

            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
        worker.say(Kind.BROKEN, written(error))
        return False
    return True


def _deaf(*_: Any) -> None:
    pass
