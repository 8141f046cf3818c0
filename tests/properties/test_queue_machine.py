"""Three processes put into queues and get from them, in any order, and are killed: each must be as a deque to which the same
was done."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from actors import Actor, keep, kept
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from procession import JoinableQueue, Queue

SMALL = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
BIG = st.tuples(st.sampled_from("xy"), st.sampled_from([900, 16_384, 16_385, 65_600, 300_000])).map(lambda p: p[0] * p[1])
MESSAGES = st.one_of(SMALL, BIG, BIG.map(str.encode), st.lists(SMALL, max_size=4), st.sets(st.integers(), max_size=3),
                     st.dictionaries(st.text(max_size=3), BIG, max_size=2))  # fmt: skip
WHO = st.integers(-1, 1)  #: -1: this process
WHICH = st.integers(0, 2)
BOUND = 3


def outcome(queue: Any, name: str, *args: Any) -> Any:
    """What the method gives, or which error."""
    try:
        return getattr(queue, name)(*args)
    except Exception as error:
        return type(error).__name__


def there(which: int, name: str, *args: Any) -> Any:
    return outcome(kept()[which], name, *args)


class Model:
    """A queue of which it is clear what it does."""

    def __init__(self, most: int = 10**6) -> None:
        self.messages: deque[Any] = deque()
        self.most = most
        self.unfinished = 0

    def put_many(self, messages: list[Any], block: bool) -> int:
        done = messages[: self.most - len(self.messages)]
        self.messages.extend(done)
        self.unfinished += len(done)
        return len(done)

    def get_many(self, most: int | None, block: bool) -> Any:
        if not self.messages:
            return "Empty"
        return [self.messages.popleft() for _ in range(min(most or 10**6, len(self.messages)))]

    def task_done(self) -> Any:
        self.unfinished -= self.unfinished > 0
        return None


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queues: tuple[Any, ...] = Queue(), Queue(BOUND, redeliver=True), JoinableQueue(redeliver=True)
        self.models = Model(), Model(BOUND), Model()
        self.actors = [self.new_actor() for _ in range(2)]

    def new_actor(self) -> Actor:
        actor = Actor()
        actor(keep, self.queues)
        return actor

    def teardown(self) -> None:
        for actor in self.actors:
            actor.close()

    def done(self, who: int, which: int, name: str, *args: Any) -> Any:
        return outcome(self.queues[which], name, *args) if who < 0 else self.actors[who](there, which, name, *args)

    @rule(who=WHO, which=WHICH, message=MESSAGES)
    def put(self, who: int, which: int, message: Any) -> None:
        expected = None if self.models[which].put_many([message], False) else "Full"
        assert self.done(who, which, "put", message, False) == expected

    @rule(who=WHO, which=WHICH, messages=st.lists(MESSAGES, max_size=40))
    def put_many(self, who: int, which: int, messages: list[Any]) -> None:
        assert self.done(who, which, "put_many", messages, False) == self.models[which].put_many(messages, False)

    @rule(who=WHO, which=WHICH)
    def get(self, who: int, which: int) -> None:
        expected = self.models[which].get_many(1, False)
        got = self.done(who, which, "get", False)
        assert [got] == (["Empty"] if expected == "Empty" else expected)

    @rule(who=WHO, which=WHICH, most=st.none() | st.integers(1, 60))
    def get_many(self, who: int, which: int, most: int | None) -> None:
        assert self.done(who, which, "get_many", most, False) == self.models[which].get_many(most, False)

    @rule(who=WHO)
    def task_done(self, who: int) -> None:
        expected = None if self.models[2].unfinished else "ValueError"
        self.models[2].task_done()
        assert self.done(who, 2, "task_done") == expected

    @rule(who=st.integers(0, 1))
    def kill(self, who: int) -> None:
        self.actors[who].kill()
        self.actors[who].close()
        self.actors[who] = self.new_actor()

    @invariant()
    def all_is_as_the_models_say(self) -> None:
        for queue, model in zip(self.queues, self.models, strict=True):
            assert queue.qsize() == len(model.messages)
            assert queue.empty() == (not model.messages)
            assert queue.full() == (len(model.messages) == model.most)
        assert self.queues[2].join(0) == (self.models[2].unfinished == 0)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=10 if os.environ.get("PROCESSION_SHORT") else 20, stateful_step_count=50,
    derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # (to shrink takes minutes, with processes)
)  # fmt: skip
