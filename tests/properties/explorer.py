"""A search through all states of a model: whatever the order of its agents' steps, and whoever dies at whichever of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

END, DEAD, BLOCKED = "end", "dead", "blocked"


class Agent:
    """One process: its next step, where in a scan of the waits it is, where it returns to, what it keeps."""

    def __init__(self, step: str, at: int, back: tuple[str, ...], kept: Any) -> None:
        self.step, self.at, self.back, self.kept = step, at, back, kept

    def call(self, step: str, back: str) -> str:
        self.back = (back, *self.back)
        return step

    def leave(self) -> str:
        step, self.back = self.back[0], self.back[1:]
        return step


class Model:
    """The shared words, the waits (one slot for each process), and the agents; the last of these recovers after the dead.

    `steps` are its programs; `without` names steps that are left out, to see that the search finds that.
    """

    steps: ClassVar[dict[str, Callable[[Any, int, Agent], str]]] = {}
    without: tuple[str, ...] = ()

    @classmethod
    def fault(cls, frozen: Any) -> str:
        """What must not be in this state."""
        return ""

    def __init__(self, frozen: Any) -> None:
        self.word, waits, agents, self.budget = frozen
        self.waits = list(waits)
        self.agents = [Agent(*agent) for agent in agents]

    def freeze(self) -> Any:
        agents = tuple((a.step, a.at, a.back, a.kept) for a in self.agents)
        return self.word, tuple(self.waits), agents, self.budget

    @classmethod
    def others(cls, frozen: Any) -> Iterator[tuple[str, Any]]:
        """What may happen beside the programs' own steps: deaths."""
        _, _, agents, (deaths, restarts, _) = frozen
        for me, (step, *_) in enumerate(agents[:-1]):
            if deaths and step not in (END, DEAD):
                yield f"{me} dies at {step}", cls.changed(frozen, me, Agent(DEAD, 0, (), agents[me][3]), deaths=-1)
        if restarts and agents[-1][0] not in (END, "watch"):
            yield "recovery begins anew", cls.changed(frozen, -1, Agent("watch", 0, (), None), restarts=-1)

    @classmethod
    def changed(cls, frozen: Any, me: int, agent: Agent, deaths: int = 0, restarts: int = 0, timeouts: int = 0) -> Any:
        state = cls(frozen)
        state.agents[me] = agent
        state.budget = tuple(map(sum, zip(state.budget, (deaths, restarts, timeouts), strict=True)))
        return state.freeze()

    def dead(self) -> int | None:
        return next((me for me, agent in enumerate(self.agents) if agent.step == DEAD), None)


def explore(model: type[Model], word: Any, waits: Any, agents: list[tuple[str, Any]], **budget: int) -> int:
    """Visit all states; how many there are. AssertionError, with the way there, for one that must not be."""
    start = (word, waits, tuple((step, 0, (), kept) for step, kept in agents),
             (budget.get("deaths", 0), budget.get("restarts", 0), budget.get("timeouts", 0)))  # fmt: skip
    came: dict[Any, tuple[Any, str]] = {start: (None, "")}
    todo = [start]
    while todo:
        state = todo.pop()
        moves = list(moves_of(model, state))
        if not moves:
            asleep = [me for me, (step, *_) in enumerate(state[2]) if step not in (END, DEAD, "watch")]
            assert not asleep, f"{asleep} sleep for ever:\n{way_to(state, came)}"
        for label, after in moves:
            if after not in came:
                came[after] = state, label
                fault = model.fault(after)
                assert not fault, f"{fault}:\n{way_to(after, came)}"
                todo.append(after)
    return len(came)


def moves_of(model: type[Model], frozen: Any) -> Iterator[tuple[str, Any]]:
    for me, (step, *_) in enumerate(frozen[2]):
        if step in (END, DEAD):
            continue
        state = model(frozen)
        agent = state.agents[me]
        after = model.steps[step](state, me, agent)
        if after != BLOCKED:
            agent.step = after
            yield f"{me}: {step}", state.freeze()
    yield from model.others(frozen)


def way_to(state: Any, came: dict[Any, tuple[Any, str]]) -> str:
    lines: list[str] = []
    while state is not None:
        state, label = came[state]
        lines.append(label)
    return "\n".join(reversed(lines))
