"""Every interleaving of the barrier's protocol (native/barrier.c, native/recover.c), with time-outs and a death at any step.

As test_models.py. What must hold in every state: a meeting ends alike for all who were at it, and only when all were. What must
hold where nothing can move any more: nobody sleeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import pytest
from explorer import BLOCKED, END, Agent, Model, explore

pytestmark = pytest.mark.no_leak_guard
FREE, CLAIMED, PENDING = "FREE", "CLAIMED", "PENDING"
PASSED, REFUSED, WOKEN = "PASSED", "REFUSED", "WOKEN"
GOOD, BAD = "passed", "broken"


class Word(NamedTuple):
    count: int = 0
    phase: int = 0
    acting: bool = False
    broken: bool = False


class Barrier(Model):
    """A wait is (state, phase, whether it is for the phase after). An agent keeps how its meetings ended."""

    parties = 2
    action = False
    rounds = 2

    @classmethod
    def fault(cls, frozen: Any) -> str:
        parties = [kept for *_, kept in frozen[2][:-1]]
        for meeting in range(cls.rounds):
            ends = {kept[0][meeting] for kept in parties if len(kept[0]) > meeting}
            if len(ends) > 1:
                return f"meeting {meeting} ended in two ways"
            if GOOD in ends and any(kept[1] <= meeting for kept in parties):
                return f"meeting {meeting} ended before all had come"
        return ""

    @classmethod
    def others(cls, frozen: Any) -> Iterator[tuple[str, Any]]:
        yield from super().others(frozen)
        for me, (step, at, back, kept) in enumerate(frozen[2][:-1]):
            if step == "sleep" and frozen[3][2]:
                yield f"{me}'s time is up", cls.changed(frozen, me, Agent("expire", at, back, kept), timeouts=-1)

    # barrier_arrive

    def arrive(self, me: int, agent: Agent) -> str:
        word = self.word
        if word.broken:
            return self.ended(me, agent, BAD)
        if word.acting:
            self.waits[me] = CLAIMED, word.phase, True
            return "publish"
        self.waits[me] = CLAIMED, word.phase, False
        agent.kept = agent.kept[0], agent.kept[1] + 1, None
        last = word.count + 1 == self.parties
        if last and not self.action:
            self.word = Word(phase=word.phase + 1)
            return "go"
        self.word = word._replace(count=word.count + 1, acting=last)
        return "publish to act" if last else "publish"

    def go(self, me: int, agent: Agent) -> str:
        self.waits[me] = FREE, 0, False
        return self.tell(agent, False, "done well")

    def publish(self, me: int, agent: Agent) -> str:
        self.waits[me] = PENDING, *self.waits[me][1:]
        return "outcome"

    def publish_to_act(self, me: int, agent: Agent) -> str:
        self.waits[me] = PENDING, *self.waits[me][1:]
        return "act"

    def act(self, me: int, agent: Agent) -> str:
        word = self.word  # barrier_acted
        if word.broken or not word.acting:
            return "done badly"
        self.word = Word(phase=word.phase + 1)
        return self.tell(agent, False, "done well")

    # tell: reads the word, then each wait, then tells it

    def tell(self, agent: Agent, refuse: bool, back: str) -> str:
        agent.at = 0
        return agent.call("tell all" if refuse else "tell", back)

    def tell_ended(self, me: int, agent: Agent) -> str:
        return self.read_word(agent, False)

    def tell_all(self, me: int, agent: Agent) -> str:
        return self.read_word(agent, True)

    def read_word(self, agent: Agent, refuse: bool) -> str:
        agent.kept = *agent.kept[:2], (self.word, refuse)
        return "look"

    def look(self, me: int, agent: Agent) -> str:
        if agent.at == len(self.waits):
            agent.kept = *agent.kept[:2], None
            return agent.leave()
        word, refuse = agent.kept[2][:2]
        seen = self.waits[agent.at]
        what = verdict(word, seen) or (REFUSED if refuse and seen[1] == word.phase else "")
        if seen[0] == PENDING and what:
            agent.kept = *agent.kept[:2], (word, refuse, seen, what)
            return "tell one"
        agent.at += 1
        return "look"

    def tell_one(self, me: int, agent: Agent) -> str:
        word, refuse, seen, what = agent.kept[2]
        if self.waits[agent.at] == seen and "tell" not in self.without:
            self.waits[agent.at] = what, *seen[1:]
        agent.at += 1
        agent.kept = *agent.kept[:2], (word, refuse)
        return "look"

    # barrier_outcome reads the word, then the wait; barrier_sleep, barrier_expire

    def outcome(self, me: int, agent: Agent) -> str:
        agent.kept = *agent.kept[:2], self.word
        return "outcome of wait"

    def outcome_of_wait(self, me: int, agent: Agent) -> str:
        state = self.stands(me, agent.kept[2])
        return {PASSED: "done well", REFUSED: "done badly", WOKEN: "come again", "": "sleep"}[state]

    def stands(self, me: int, word: Word) -> str:
        wait = self.waits[me]
        if wait[0] != PENDING:
            return str(wait[0])
        if "outcome" in self.without:
            return ""
        return verdict(word, wait) or (REFUSED if word.broken else "")

    def sleep(self, me: int, agent: Agent) -> str:
        return BLOCKED if self.waits[me][0] == PENDING else "outcome"

    def expire(self, me: int, agent: Agent) -> str:
        agent.kept = *agent.kept[:2], self.word
        return "outcome, expired"

    def outcome_expired(self, me: int, agent: Agent) -> str:
        state = self.stands(me, self.word)
        if state:
            return "outcome"
        return "sleep" if agent.kept[2].acting else "break"

    def break_(self, me: int, agent: Agent) -> str:
        if self.word != agent.kept[2]:
            return "expire"
        self.word = self.word._replace(broken=True)
        return self.tell(agent, True, "done badly")

    # the end of a meeting: wait_end

    def come_again(self, me: int, agent: Agent) -> str:
        self.waits[me] = FREE, 0, False
        return "arrive"

    def done_well(self, me: int, agent: Agent) -> str:
        return self.ended(me, agent, GOOD)

    def done_badly(self, me: int, agent: Agent) -> str:
        return self.ended(me, agent, BAD)

    def ended(self, me: int, agent: Agent, how: str) -> str:
        self.waits[me] = FREE, 0, False
        agent.kept = (*agent.kept[0], how), len(agent.kept[0]) + 1, None
        return "arrive" if len(agent.kept[0]) < self.rounds and how == GOOD else END

    # recover: the waits, the party's stake, nudge

    def watch(self, me: int, agent: Agent) -> str:
        dead = self.dead()
        if dead is None:
            return BLOCKED
        agent.kept = (), dead, None
        return "recover wait"

    def recover_wait(self, me: int, agent: Agent) -> str:
        if self.waits[agent.kept[1]][0] == PENDING and "recover" not in self.without:
            self.word = self.word._replace(broken=True)
            return self.tell(agent, True, "free wait")
        return "free wait"

    def free_wait(self, me: int, agent: Agent) -> str:
        self.waits[agent.kept[1]] = FREE, 0, False
        return "recover stake"

    def recover_stake(self, me: int, agent: Agent) -> str:
        if "recover" in self.without:
            return END
        self.word = self.word._replace(broken=True)
        return self.tell(agent, True, "nudge")

    def nudge(self, me: int, agent: Agent) -> str:
        return self.tell(agent, self.word.broken, END)

    steps: ClassVar = {
        "arrive": arrive, "go": go, "publish": publish, "publish to act": publish_to_act, "act": act, "tell": tell_ended,
        "tell all": tell_all, "look": look, "tell one": tell_one, "outcome": outcome, "outcome of wait": outcome_of_wait,
        "sleep": sleep, "expire": expire, "outcome, expired": outcome_expired, "break": break_, "come again": come_again,
        "done well": done_well, "done badly": done_badly, "watch": watch, "recover wait": recover_wait,
        "free wait": free_wait, "recover stake": recover_stake, "nudge": nudge,
    }  # fmt: skip


def verdict(word: Word, wait: tuple[str, int, bool]) -> str:
    """What a wait of an ended phase is told; "": it has not ended."""
    if word.phase <= wait[1]:
        return ""
    return WOKEN if wait[2] else PASSED


def barrier(action: bool, without: tuple[str, ...] = (), parties: int = 2, rounds: int = 2, **budget: int) -> int:
    values = {"action": action, "without": without, "parties": parties, "rounds": rounds}
    model = type("Barrier", (Barrier,), values)
    agents = [("arrive", ((), 0, None))] * parties + [("watch", ((), 0, None))]
    return explore(model, Word(), ((FREE, 0, False),) * parties, agents, **budget)


@pytest.mark.parametrize("action", [False, True])
@pytest.mark.parametrize("budget", [
    {}, {"timeouts": 2}, {"deaths": 1, "restarts": 1}, {"deaths": 1, "timeouts": 1, "rounds": 1}, {"parties": 3, "rounds": 1},
], ids=str)  # fmt: skip
def test_a_meeting_ends_for_all_and_alike(action: bool, budget: dict[str, int]) -> None:
    assert barrier(action, **budget) > 50


@pytest.mark.parametrize(("without", "budget"), [(("tell",), {}), (("outcome",), {}), (("recover",), {"deaths": 1})])
def test_the_search_finds_what_is_left_out(without: tuple[str, ...], budget: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="sleep for ever"):
        barrier(False, without, **budget)
