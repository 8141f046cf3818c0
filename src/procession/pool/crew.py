"""The workers of a pool, as the pool sees them: started when there is work, watched, replaced, sent home.

A worker's life:   starting --READY--> serving --LAST--> leaving --GOODBYE--> (its death)
                      any ---------------------------------------------------------------killed--> (its death)

A death comes as a message in `results`, behind all that the worker ever said.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from procession.core import callers
from procession.pool import caps, dropping, messages, obituary, relay, tokens, verdicts, worker
from procession.pool.member import Member
from procession.pool.messages import Kind
from procession.pool.settings import Settings
from procession.process import callbacks
from procession.process.nursery import nursery
from procession.process.process import Process

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Crew"]

#: Seconds after which a start that failed is tried again, while there are tasks for it.
RETRY = 0.25
#: After so many workers have died one after another before they did anything, the pool is given up.
HOPELESS = 5
#: Seconds that a worker which came because others wait is kept.
LENT = 1.0


def expect(settings: Any, context: Any) -> None:
    """A pool is being made: let its workers' processes be made meanwhile, if it starts them at once. (Many a module makes an
    executor when it is imported, in the zygote, too: nothing is to be started by that.)"""
    modules = {worker.__name__, "logging"}  # (the latter if it is imported here)
    if settings.eager and getattr(context, "_name", "") in ("zygote", "forkserver"):
        nursery.expect(modules, settings.workers)
    else:
        nursery.learn(modules)


class Crew:
    """All of them. The engine's lock guards it."""

    def __init__(self, engine: Engine, context: Any) -> None:
        self._engine = engine
        self._context = context
        self.size = self._told_size = engine.settings.workers  # how many there may be
        self._waiting = 0  # workers, for others' tasks
        self._shrinks = False  # a look whether there are too many is due
        self.members: dict[int, Member] = {}
        self.processes: dict[int | None, Any] = {}  # by pid; the same dict for ever (people of concurrent.futures keep it)
        self._gone: list[Any] = []
        self._next = 0
        self._failures = 0
        self.ended = False
        self._forks = getattr(context, "_name", "") == "fork"  # then all at once, while there are few threads
        self.full = False  # there are as many as there may be
        self._tries = False  # a start has failed, and will be tried again
        settings = engine.settings
        self._functions = None
        if settings.initializer is not None or settings.exit_function is not None:
            self._functions = worker.Functions(
                (settings.initializer, settings.initargs) if settings.initializer is not None else None,
                (settings.exit_function, settings.exit_args) if settings.exit_function is not None else None,
            )
        self._permits, siblings = tokens.share(settings.workers)
        self._told = worker.Settings(
            number=0, heir=False, nested=worker.current_worker() is not None, siblings=siblings, blackbox=None,
            level=relay.level_here(), caps=_caps(settings), max_tasks=settings.max_tasks, max_memory=settings.max_memory,
            max_age=settings.max_age,
        )  # fmt: skip

    # --- coming ---

    def ensure(self, wanted: int) -> None:
        """Start workers until there is one for each task, or as many as there may be."""
        if self.ended:
            return
        least = self.size if self._engine.settings.eager or (self._forks and wanted) else 0
        self.full = self.staying() >= self.size
        while self.staying() < min(max(wanted, least), self.size):
            try:
                self.start()
            except Exception as error:
                if self.members:
                    self._try_again()  # meanwhile those that there are do it
                    return
                self._engine.break_down(verdicts.not_started(error))  # whoever waits is told
                return
        self.full = self.staying() >= self.size

    def _try_again(self) -> None:
        """A start has failed. (Nothing else may come that would try it: the others may wait for what it is to do.)"""
        if not self._tries:
            self._tries = True
            self._engine.stopper.at(time.monotonic() + RETRY, self._retry)

    def _retry(self) -> None:
        self._tries = False
        if not self._engine.closing or self._engine.outstanding():
            self.ensure(self._engine.wanted())

    def start_all(self) -> None:
        """As many as there may be. Raises what a start raises; those that were started are ended then."""
        try:
            while len(self.members) < self.size:
                self.start()
        except BaseException:
            for member in self.members.values():
                member.process.terminate()
            for member in list(self.members.values()):
                member.process.join()
            raise

    def staying(self) -> int:
        """How many there are but for those that are about to leave."""
        return sum(not member.leaving for member in self.members.values())

    def start(self) -> Member:
        """Start one. Raises what Process.start raises."""
        engine = self._engine
        number = self._next = self._next % 0xFFFF + 1
        blackbox = obituary.Blackbox()
        heir = not any(member.heir for member in self.members.values())
        told = tuple(self._told._replace(number=number, heir=heir, blackbox=blackbox.path))
        process = self._context.Process(
            target=worker.main,
            args=(engine.tasks, engine.results, engine.functions.table, self._permits, told, self._functions),
            name=f"{engine.settings.name}-{number}",
            **({} if engine.settings.daemon is None else {"daemon": engine.settings.daemon}),
        )
        member = Member(number, process, blackbox, heir)
        self.members[number] = member
        try:
            process.start()
            if isinstance(process, Process):  # (there are people who make a pool of something else, to see what becomes of it)
                member.started()
        except BaseException:
            del self.members[number]
            blackbox.close()
            raise
        self.processes[member.pid] = process
        if isinstance(process, Process):
            self._watch(member)
        return member

    def _watch(self, member: Member) -> None:
        try:
            callbacks.add(member.process, _Death(self._engine, member.id), quick=True)
        except RuntimeError:  # no thread is to be had: nobody would know of its death
            member.process.kill()
            member.process.join()
            del self.members[member.id], self.processes[member.pid]
            raise

    # --- what they say ---

    def taken(self, number: int, worker: int, since: float | None) -> None:
        """A worker has that task in hand, and is about to take others. With the lock; may be called twice."""
        member, task = self.members.get(worker), self._engine.held.get(number)
        if member is None or task is None:
            return
        member.took(number, time.monotonic() if since is None else since, self._engine.held)
        if task.extra is not None and task.extra.stopping is not None:
            self._engine.stopper.go_on(task)

    def heard(self, kind: int, number: int, payload: Any) -> None:
        """A message about a worker, or from one about itself."""
        if kind == Kind.RECORD:
            callers.call(relay.deliver, payload)
            return
        engine = self._engine
        with engine.lock:
            if kind == Kind.DROPPED:
                dropping.heard(engine.dropped)
                return
            member = self.members.get(number)
            if member is None:
                return
            if kind == Kind.READY:
                member.serving, self._failures = True, 0
            elif kind == Kind.LAST:
                self._relieve(member, bool(payload))
            elif kind == Kind.GOODBYE:
                member.leaving, self.full = True, False
                if engine.settings.exit_function is not None:
                    engine.exit_results.append(payload)
            elif kind == Kind.BROKEN:
                engine.break_down(verdicts.initializer_failed(payload))
            elif kind == Kind.DIED:
                self._bury(member)

    def requested(self, number: int, worker: int, payload: Any) -> None:
        """A task asks for something. With the lock."""
        member = self.members.get(worker)
        if member is not None and number > member.requests and self._engine.guests is not None:
            member.requests = number  # (once, also if it is read twice)
            self._engine.guests.heard(member, payload)

    def _relieve(self, member: Member, asks: bool) -> None:
        """It is to leave: its successor comes first. One that `asks` waits to be told."""
        if member.leaving:
            return
        member.leaving, self.full = True, False
        if not self._engine.closing or self._engine.outstanding() > len(self.members):
            self.ensure(max(self._engine.wanted(), 1))
        if asks:
            self._engine.stopper.ask(member, messages.RETIRE, lambda: True)

    def _bury(self, member: Member) -> None:
        engine = self._engine
        member.died()
        del self.members[member.id]
        if member.requests:
            self._engine.guests.died(member)
        self.full = False
        self.processes.pop(member.pid, None)
        self._gone.append(member.process)
        in_hand = (member.task, *sorted(member.many, reverse=True))  # (the last that it took first)
        for number in dict.fromkeys(in_hand):
            if number and (task := engine.held.get(number)) is not None:
                member.serving = True
                engine.lost(task, member)
            else:
                engine.lanes.forget(number)
        if not member.serving and not member.leaving:
            self._failures += 1
            if self._failures >= HOPELESS and not self.ended:
                engine.break_down(verdicts.hopeless(member, self._failures))
        self._after_one_left()

    def _after_one_left(self) -> None:
        engine = self._engine
        if self.ended and not self.members:  # (whatever streams wait for: nothing comes of it)
            engine.no_worker_left()
            return
        if not self.ended and (wanted := engine.wanted()):
            self.ensure(wanted)
        elif not self.ended and not engine.closing and engine.settings.eager:
            self.ensure(0)
        if engine.closing and engine.is_done():
            self.dismiss()

    # --- going ---

    def resize(self, size: int) -> None:
        """From now on so many, and as many more as wait. Those beyond leave when they are idle, or after their task: as many
        messages as there are workers too many."""
        self._told_size = size
        self._set_size(size + self._waiting)

    def lend(self, waiting: int) -> None:
        """So many workers wait for others' tasks: as many more may work. These stay a second longer than they are needed."""
        self._waiting = waiting
        size = self._told_size + waiting
        if size > self.size:
            self._set_size(size)
            self.ensure(self._engine.wanted())
        elif size < self.size and not self._shrinks:
            self._shrinks = True
            self._engine.stopper.at(time.monotonic() + LENT, self._shrink)

    def _shrink(self) -> None:
        self._shrinks = False
        if not self.ended and not self._engine.closing:
            self._set_size(self._told_size + self._waiting)

    def _set_size(self, size: int) -> None:
        self._engine.resized(size)
        beyond = min(self.staying(), self.size) - size
        self.size, self.full = size, False
        if beyond > 0:
            self._engine.tasks._put_tasks([(messages.STOP, 0, None)] * beyond)

    def send_home(self) -> None:
        """All leave, by one message each; a task that comes meanwhile starts others."""
        if (staying := self.staying()) and not self.ended:
            self._engine.tasks._put_tasks([(messages.STOP, 0, None)] * staying)

    def dismiss(self) -> None:
        """No task is left and none will come: all leave, by one message each."""
        engine = self._engine
        if not self.members:
            self.ended = True
            engine.no_worker_left()
            return
        missing = len(self.members) - engine.tasks.qsize()
        if missing > 0 and not self.ended:
            engine.tasks._put_tasks([(messages.STOP, 0, None)] * missing)

    def end(self, how: str) -> None:
        """All are ended: "terminate" or "kill"."""
        self.ended = True
        for member in self.members.values():
            if how == "kill":
                member.process.kill()
            else:
                member.process.terminate(grace=self._engine.grace)
        if not self.members:
            self._engine.no_worker_left()

    def reap(self) -> None:
        """Join those that have ended."""
        with self._engine.lock:
            gone, self._gone = self._gone, []
        for process in gone:
            process.join()

    def with_task(self, number: int) -> tuple[Member, float] | None:
        """Who has that task in hand, and since when."""
        for member in self.members.values():
            if number in member.many:
                return member, member.many[number]
            seen = member.in_hand()
            if seen is not None and seen[0] == number:
                return member, seen[1]
        return None


def _caps(settings: Settings) -> dict[str, str]:
    found = caps.caps(settings.workers)
    return found if settings.threads is None else dict.fromkeys(found, str(settings.threads))


class _Death:
    """Told of the end of a worker's process: writes it behind what the worker said."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._results = engine.results
        self._number = number

    def __call__(self, process: Any) -> None:
        self._results._put_task(self._number, Kind.DIED, None)
