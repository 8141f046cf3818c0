"""Three processes do anything in any order with one object of each kind, and are killed: it must be as simple models say."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from typing import Any

import pytest
from actors import Actor, do, keep, told, wait_for_waiters
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from procession import BoundedSemaphore, Event, Lock, RLock, RWLock, Semaphore

WHO = st.integers(0, 2)
PERMITS = 2
OWNED = ("Lock", "RLock", "BoundedSemaphore", "read", "write")


class Machine(RuleBasedStateMachine):
    """`has` counts what each process has; `waiting` is the one that waits, and for what."""

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[str, Any] = {
            "Lock": Lock(), "RLock": RLock(), "Semaphore": Semaphore(1), "BoundedSemaphore": BoundedSemaphore(PERMITS),
            "RWLock": RWLock(), "Event": Event(),
        }  # fmt: skip
        self.actors = [self.new_actor() for _ in range(3)]
        self.has: list[Counter[str]] = [Counter() for _ in range(3)]
        self.died = {"Lock": False, "RLock": False}
        self.value, self.set = 1, False
        self.waiting: tuple[int, str] | None = None

    def new_actor(self) -> Actor:
        actor = Actor()
        actor(keep, self.things)
        return actor

    def teardown(self) -> None:
        for actor in self.actors:
            actor.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for lock in (self.things["Lock"], self.things["RLock"]):  # (nobody's death is left untold)
                assert lock.acquire(True, 5)
                lock.release()

    # --- the models ---

    def total(self, kind: str) -> int:
        return sum(has[kind] for has in self.has)

    def can_take(self, who: int, kind: str) -> bool:
        queued = self.waiting is not None and self.waiting[1] == kind
        if kind == "RLock":
            return self.total(kind) == self.has[who][kind]
        if kind == "BoundedSemaphore":
            return self.total(kind) < PERMITS and not queued
        if kind in ("read", "write"):
            queued = self.waiting is not None and self.waiting[1] in ("read", "write")
            return self.total("write") == 0 and (kind == "read" or self.total("read") == 0) and not queued
        return self.value > 0 if kind == "Semaphore" else self.total(kind) == 0

    def took(self, who: int, kind: str, warned: list[Any]) -> None:
        self.has[who][kind] += kind != "Semaphore"
        self.value -= kind == "Semaphore"
        assert len(warned) == (self.died.get(kind, False) and self.has[who][kind] == 1)
        if warned:
            self.died[kind] = False

    def settle(self) -> None:
        """Who waits goes on if it can."""
        if self.waiting is None:
            return
        (who, kind), self.waiting = self.waiting, None
        if self.can_take(who, kind):
            result, warned = self.actors[who].end(5)
            assert result is True
            self.took(who, kind, warned)
        else:
            self.waiting = who, kind
            assert self.actors[who].busy()

    def free(self, who: int) -> bool:
        return self.waiting is None or self.waiting[0] != who

    # --- what they do ---

    @rule(who=WHO, kind=st.sampled_from([*OWNED, "Semaphore"]))
    def take(self, who: int, kind: str) -> None:
        if not self.free(who):
            return
        result, warned = self.actors[who](told, do, kind, "acquire", False)
        assert result is self.can_take(who, kind)
        if result:
            self.took(who, kind, warned)

    @rule(who=WHO, kind=st.sampled_from([*OWNED, "Semaphore"]))
    @precondition(lambda self: self.waiting is None)
    def wait(self, who: int, kind: str) -> None:
        if self.can_take(who, kind):
            return
        self.actors[who].begin(told, do, kind, "acquire")
        wait_for_waiters(self.things["RWLock" if kind in ("read", "write") else kind], 1)
        self.waiting = who, kind

    @rule(who=WHO, kind=st.sampled_from([*OWNED, "Semaphore"]))
    def give(self, who: int, kind: str) -> None:
        if not self.free(who):
            return
        mine, error = self.has[who][kind] > 0, None
        giver = who
        if kind == "Semaphore":
            self.value += 1
        elif kind in ("Lock", "BoundedSemaphore") and not mine and self.total(kind):
            giver = next(other for other in range(3) if self.has[other][kind])  # it may be any of them, in the semaphore's case
            if kind == "BoundedSemaphore" and sum(has[kind] > 0 for has in self.has) > 1:
                return
        elif not mine:
            error = AssertionError if kind == "RLock" else ValueError
        if error:
            with pytest.raises(error):
                self.actors[who](do, kind, "release")
            return
        self.actors[who](do, kind, "release")
        self.has[giver][kind] -= kind != "Semaphore"
        self.settle()

    @rule(who=WHO, on=st.booleans())
    def set_event(self, who: int, on: bool) -> None:
        if self.free(who):
            self.actors[who](do, "Event", "set" if on else "clear")
            self.set = on

    @rule(who=WHO)
    def kill(self, who: int) -> None:
        self.actors[who].kill()
        self.actors[who].close()
        for kind in self.died:
            self.died[kind] |= self.has[who][kind] > 0
        self.has[who].clear()
        if not self.free(who):
            self.waiting = None
        self.actors[who] = self.new_actor()
        self.settle()

    # --- what is seen from outside ---

    @invariant()
    def all_is_as_the_models_say(self) -> None:
        things = self.things
        for kind in ("Lock", "RLock"):
            holder = [self.actors[who].process.pid for who in range(3) if self.has[who][kind]]
            assert [things[kind].holder.pid] == holder if holder else things[kind].holder is None
            assert things[kind].owner_died or not self.died[kind]
        assert things["Semaphore"].get_value() == self.value
        assert things["BoundedSemaphore"].get_value() == PERMITS - self.total("BoundedSemaphore")
        readers = sorted(self.actors[who].process.pid for who in range(3) if self.has[who]["read"])
        writers = [self.actors[who].process.pid for who in range(3) if self.has[who]["write"]]
        assert sorted(reader.pid for reader in things["RWLock"].readers) == readers
        assert [things["RWLock"].writer.pid] == writers if writers else things["RWLock"].writer is None
        assert things["Event"].is_set() is self.set
        assert sum(len(thing.waiters) for thing in things.values()) == (self.waiting is not None)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=7 if os.environ.get("PROCESSION_SHORT") else 15, stateful_step_count=50,
    derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # (to shrink takes minutes, with processes)
)  # fmt: skip
