"""Every interleaving of the lock's protocol (native/mutex.c, native/waits.c, native/recover.c), with a death at any step.

The agents are small programs whose steps are one atomic read or write of the shared words each, as in C (`pn_step` lies between
them). What must hold in every state: nobody is inside while the lock is another's. What must hold where nothing can move any
more: nobody sleeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from explorer import BLOCKED, END, Agent, Model, explore

pytestmark = pytest.mark.no_leak_guard
FREE, PENDING, WOKEN = "FREE", "PENDING", "WOKEN"


class Mutex(Model):
    """The word is (holder + 1 or 0, WAITERS)."""

    @classmethod
    def fault(cls, frozen: Any) -> str:
        for me, (step, *_) in enumerate(frozen[2][:-1]):
            if step == "inside" and frozen[0][0] != me + 1:
                return f"{me} is inside, and the lock is another's"
        return ""

    @classmethod
    def others(cls, frozen: Any) -> Iterator[tuple[str, Any]]:
        yield from super().others(frozen)
        for me, (step, _, back, kept) in enumerate(frozen[2][:-1]):
            if step == "sleep" and frozen[3][2]:
                yield f"{me}'s time is up", cls.changed(frozen, me, Agent("give up", 0, back, kept), timeouts=-1)

    def take(self, me: int) -> bool:
        if self.word[0]:
            return False
        self.word = me + 1, self.word[1]
        return True

    # mutex_lock

    def lock(self, me: int, agent: Agent) -> str:
        return "inside" if self.take(me) else "publish"  # mutex_try

    def publish(self, me: int, agent: Agent) -> str:
        self.waits[me] = PENDING  # wait_publish
        return "announce"

    def announce(self, me: int, agent: Agent) -> str:
        if "announce" not in self.without:
            self.word = self.word[0], True  # mutex_try_waiting: WAITERS
        return "try"

    def try_(self, me: int, agent: Agent) -> str:
        return "end wait" if self.take(me) else "sleep"

    def sleep(self, me: int, agent: Agent) -> str:
        return BLOCKED if self.waits[me] == PENDING else "again"  # wait_sleep

    def again(self, me: int, agent: Agent) -> str:
        self.waits[me] = PENDING  # wait_again
        return "announce"

    def end_wait(self, me: int, agent: Agent) -> str:
        self.waits[me] = FREE
        return "inside"

    def inside(self, me: int, agent: Agent) -> str:
        seen, self.word = self.word, (0, self.word[1])  # mutex_unlock
        return agent.call("wake", "next") if seen[1] else "next"

    def next_(self, me: int, agent: Agent) -> str:
        agent.kept -= 1
        return "lock" if agent.kept else END

    def give_up(self, me: int, agent: Agent) -> str:
        told, self.waits[me] = self.waits[me], FREE  # mutex_give_up: wait_end
        return "pass on" if told == WOKEN and "pass on" not in self.without else "next"

    def pass_on(self, me: int, agent: Agent) -> str:
        return "next" if self.word[0] else agent.call("wake", "next")

    # waits_wake: waits_tell(1), WAITERS off, waits_first, WAITERS on

    def wake(self, me: int, agent: Agent) -> str:
        found = self.scan(agent)
        return "wake" if found is None else "clear" if found < 0 else "tell"

    def scan(self, agent: Agent) -> int | None:
        """One wait more; None: go on; -1: none waits; else `at` is who does."""
        if self.waits[agent.at] == PENDING:
            return agent.at
        agent.at += 1
        if agent.at < len(self.waits):
            return None
        agent.at = 0
        return -1

    def tell(self, me: int, agent: Agent) -> str:
        done = self.waits[agent.at] == PENDING
        if done:
            self.waits[agent.at] = WOKEN  # wait_tell
        agent.at = 0
        return agent.leave() if done else "wake"

    def clear(self, me: int, agent: Agent) -> str:
        self.word = self.word[0], False
        return agent.leave() if "look again" in self.without else "look again"

    def look_again(self, me: int, agent: Agent) -> str:
        found = self.scan(agent)
        if found is not None and found >= 0:
            agent.at = 0
            return "set again"
        return "look again" if found is None else agent.leave()

    def set_again(self, me: int, agent: Agent) -> str:
        self.word = self.word[0], True
        return "wake"

    # recover: waits, cells, nudge

    def watch(self, me: int, agent: Agent) -> str:
        dead = self.dead()
        agent.kept = dead, ""
        return BLOCKED if dead is None else "recover wait"

    def recover_wait(self, me: int, agent: Agent) -> str:
        dead, _ = agent.kept
        told = self.waits[dead]
        agent.kept = dead, told
        if told == WOKEN and "recover wait" not in self.without:
            return agent.call("wake", "free wait")
        return "free wait" if told != FREE else "recover lock"

    def free_wait(self, me: int, agent: Agent) -> str:
        dead, seen = agent.kept
        if self.waits[dead] != seen:
            return "recover wait"  # it was told something just now
        self.waits[dead] = FREE
        return "recover lock"

    def recover_lock(self, me: int, agent: Agent) -> str:
        seen = self.word
        if seen[0] != agent.kept[0] + 1:
            return "nudge"
        self.word = 0, seen[1]  # free_lock
        return agent.call("wake", "nudge") if seen[1] else "nudge"

    def nudge(self, me: int, agent: Agent) -> str:
        """For the one of two other processes that may wait; each of its steps as in C, but for the scan."""
        if PENDING not in self.waits or "nudge" in self.without:
            return END
        holder, self.word = self.word[0], (self.word[0], True)
        return END if holder else agent.call("wake", END)

    steps: ClassVar = {
        "lock": lock, "publish": publish, "announce": announce, "try": try_, "sleep": sleep, "again": again,
        "end wait": end_wait, "inside": inside, "next": next_, "give up": give_up, "pass on": pass_on, "wake": wake,
        "tell": tell, "clear": clear, "look again": look_again, "set again": set_again, "watch": watch,
        "recover wait": recover_wait, "free wait": free_wait, "recover lock": recover_lock, "nudge": nudge,
    }  # fmt: skip


def mutex(processes: int, rounds: int = 1, without: tuple[str, ...] = (), **budget: int) -> int:
    model = type("Mutex", (Mutex,), {"without": without})
    return explore(model, (0, False), (FREE,) * processes, [("lock", rounds)] * processes + [("watch", None)], **budget)


@pytest.mark.parametrize(("processes", "rounds", "budget"), [
    (3, 1, {}), (2, 3, {"timeouts": 2}), (3, 1, {"timeouts": 1}), (3, 1, {"deaths": 1}),
    (2, 2, {"deaths": 1, "restarts": 1, "timeouts": 1}),
])  # fmt: skip
def test_nobody_waits_for_a_free_lock(processes: int, rounds: int, budget: dict[str, int]) -> None:
    assert mutex(processes, rounds, **budget) > 5000


@pytest.mark.parametrize(("without", "processes", "rounds", "budget"), [
    (("announce",), 2, 1, {}), (("look again",), 3, 2, {}), (("pass on",), 3, 1, {"timeouts": 1}),
    (("nudge",), 2, 1, {"deaths": 1}), (("recover wait", "nudge"), 3, 1, {"deaths": 1}),
])  # fmt: skip
def test_the_search_finds_what_is_left_out(without: Any, processes: int, rounds: int, budget: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="sleep for ever"):
        mutex(processes, rounds, without, **budget)
