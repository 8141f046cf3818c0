"""Every interleaving of the event's protocol (native/event.c, native/recover.c), with the death of a setter at any step.

As test_models.py. One waits, clears the event, and waits for the next time, while one that set it is as slow as it likes. What
must hold in every state: nobody goes on more often than the event was set. What must hold where nothing can move any more:
nobody sleeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import pytest
from explorer import BLOCKED, END, Agent, Model, explore

pytestmark = pytest.mark.no_leak_guard
FREE, CLAIMED, PENDING, PASSED = "FREE", "CLAIMED", "PENDING", "PASSED"


class Word(NamedTuple):
    set: bool = False
    turns: int = 0
    waiters: bool = False


class Event(Model):
    """A wait is (state, the turn at its beginning, which use of it). A waiter keeps how often it went on; a setter, whether it
    pulses, whether somebody goes on waiting, and whom it sees."""

    @classmethod
    def fault(cls, frozen: Any) -> str:
        word, _, agents, _ = frozen
        went_on = max(kept[0] for step, _, _, kept in agents if kept and kept[0] is not None)
        return "somebody went on before it was set" if went_on > word.turns else ""

    @classmethod
    def others(cls, frozen: Any) -> Iterator[tuple[str, Any]]:
        for label, after in super().others(frozen):
            if " dies at " not in label or label.partition(" dies at ")[2] in cls.deadly:
                yield label, after

    deadly: ClassVar = {"look", "passed?", "tell", "unmark", "look again", "mark"}  # the event is set, and not all know

    def passed(self, turn: int) -> bool:
        return self.word.set or (self.word.turns != turn and "turns" not in self.without)

    # event_wait

    def wait(self, me: int, agent: Agent) -> str:
        return "go on" if self.word.set else "begin"

    def begin(self, me: int, agent: Agent) -> str:
        self.waits[me] = CLAIMED, self.word.turns, self.waits[me][2] + 1
        return "publish"

    def publish(self, me: int, agent: Agent) -> str:
        self.waits[me] = PENDING, *self.waits[me][1:]
        return "announce"

    def announce(self, me: int, agent: Agent) -> str:
        self.word = self.word._replace(waiters=True)
        return "need not"

    def need_not(self, me: int, agent: Agent) -> str:
        return "end wait" if self.passed(self.waits[me][1]) else "sleep"

    def sleep(self, me: int, agent: Agent) -> str:
        return BLOCKED if self.waits[me][0] == PENDING else "end wait"

    def end(self, me: int, agent: Agent) -> str:
        self.waits[me] = FREE, *self.waits[me][1:]
        return "go on"

    def go_on(self, me: int, agent: Agent) -> str:
        agent.kept = (agent.kept[0] + 1,)
        return "clear, and wait again"

    def clear(self, me: int, agent: Agent) -> str:
        self.word = self.word._replace(set=False)
        return "wait" if agent.kept[0] < 2 else END

    # event_set; the second setter begins when the second wait has

    def second(self, me: int, agent: Agent) -> str:
        ready = self.agents[0].kept[0] == 1 and self.waits[0][0] == PENDING
        return self.set(me, agent) if ready else BLOCKED

    def set(self, me: int, agent: Agent) -> str:
        waiters = self.word.waiters
        self.word = Word(True, self.word.turns + 1, waiters)
        return self.scan(agent) if waiters else self.done(agent)

    def scan(self, agent: Agent) -> str:
        agent.at, agent.kept = 0, (None, agent.kept[1], False, None)
        return "unmark" if "tell first" in self.without else "look"

    def look(self, me: int, agent: Agent) -> str:
        _, pulse, left, _ = agent.kept
        if agent.at == len(self.waits):
            return self.done(agent) if left or "tell first" in self.without else "unmark"
        agent.kept = None, pulse, left, self.waits[agent.at]
        if self.waits[agent.at][0] == PENDING:
            return "passed?"
        agent.at += 1
        return "look"

    def is_passed(self, me: int, agent: Agent) -> str:
        _, pulse, _, seen = agent.kept
        if self.passed(seen[1]):
            return "tell"
        agent.at, agent.kept = agent.at + 1, (None, pulse, True, None)
        return "look"

    def tell(self, me: int, agent: Agent) -> str:
        if self.waits[agent.at] == agent.kept[3]:
            self.waits[agent.at] = PASSED, *agent.kept[3][1:]
        agent.at += 1
        return "look"

    def unmark(self, me: int, agent: Agent) -> str:
        self.word = self.word._replace(waiters=False)
        return "look" if "tell first" in self.without else "look again"

    def look_again(self, me: int, agent: Agent) -> str:
        waits = any(wait[0] == PENDING for wait in self.waits) and "look again" not in self.without
        return "mark" if waits else self.done(agent)

    def mark(self, me: int, agent: Agent) -> str:
        self.word = self.word._replace(waiters=True)
        return self.scan(agent)

    def done(self, agent: Agent) -> str:
        pulse, agent.kept = agent.kept[1], None
        return "clear, and end" if pulse else END

    def clear_and_end(self, me: int, agent: Agent) -> str:
        self.word = self.word._replace(set=False)
        return END

    # recover: nudge

    def watch(self, me: int, agent: Agent) -> str:
        return BLOCKED if self.dead() is None or "nudge" in self.without else "nudge"

    def nudge(self, me: int, agent: Agent) -> str:
        if agent.at == len(self.waits):
            return END
        self.word = self.word._replace(waiters=True)
        wait = self.waits[agent.at]
        if wait[0] == PENDING and self.passed(wait[1]):
            self.waits[agent.at] = PASSED, *wait[1:]
        agent.at += 1
        return "nudge"

    steps: ClassVar = {
        "wait": wait, "begin": begin, "publish": publish, "announce": announce, "need not": need_not, "sleep": sleep,
        "end wait": end, "go on": go_on, "clear, and wait again": clear, "set": set, "set later": second, "look": look,
        "passed?": is_passed, "tell": tell, "unmark": unmark, "look again": look_again, "mark": mark,
        "clear, and end": clear_and_end, "watch": watch, "nudge": nudge,
    }  # fmt: skip


def event(without: tuple[str, ...] = (), pulse: bool = False, **budget: int) -> int:
    model = type("Event", (Event,), {"without": without})
    agents = [("wait", (0,)), ("set", (None, False, False, None)), ("set later", (None, pulse, False, None)), ("watch", None)]
    return explore(model, Word(), ((FREE, 0, 0),), agents, **budget)


@pytest.mark.parametrize("pulse", [False, True])
@pytest.mark.parametrize("budget", [{}, {"deaths": 1, "restarts": 1}], ids=str)
def test_who_waits_for_the_next_time_is_told(pulse: bool, budget: dict[str, int]) -> None:
    assert event(pulse=pulse, **budget) > 200


@pytest.mark.parametrize(("without", "budget"), [
    (("tell first",), {}), (("look again",), {}), (("turns",), {}), (("nudge",), {"deaths": 1}),
])  # fmt: skip
def test_the_search_finds_what_is_left_out(without: tuple[str, ...], budget: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="sleep for ever"):
        event(without, pulse=True, **budget)
