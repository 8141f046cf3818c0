"""One pool of tokens for the family."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import procession
from procession.core.cpus import cpu_count
from procession.pool import tokens as module
from procession.pool.tokens import Tokens, Turn, adopt, default_workers, share, tokens
from procession.testing.watch import eventually

LIMIT = 30


@pytest.fixture(autouse=True)
def two_tokens() -> Iterator[Tokens]:
    """The family's, for one test."""
    before = module._tokens, module._siblings
    mine = Tokens(2)
    module._tokens, module._siblings = mine, 0
    yield mine
    module._tokens, module._siblings = before


def test_there_are_as_many_as_processors_and_the_same_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_tokens", None)
    assert tokens().get_value() == cpu_count()
    assert tokens() is tokens()
    assert tokens().robust


def test_a_process_has_one_at_most(two_tokens: Tokens) -> None:
    assert two_tokens.take_nowait()
    assert two_tokens.take_nowait()
    assert two_tokens.take()
    assert two_tokens.get_value() == 1
    two_tokens.give()
    two_tokens.give()
    assert two_tokens.get_value() == 2


class Members:
    """Processes that take tokens when told to."""

    def __init__(self, ctx: Any, given: Any) -> None:
        self.ctx, self.given = ctx, given
        self.all: list[tuple[Any, Any]] = []

    def start(self, kind: str, patience: float = LIMIT) -> tuple[Any, Any]:
        """A worker; ``(process, pipe)``: it says "begun" when it is in its turn, and ends it when told. Without a token it goes
        on after `patience` seconds."""
        given = self.given

        def work(pipe: Any) -> None:
            from procession.pool import tokens

            tokens.PATIENCE = patience
            tokens.adopt(*given)
            turn = tokens.Turn(kind)  # type: ignore[arg-type]
            turn.begin()
            pipe.send("begun")
            pipe.recv()
            turn.end()
            pipe.send("ended")
            pipe.recv()

        here, there = procession.Pipe()
        process = self.ctx.Process(target=work, args=(there,))
        process.start()
        there.close()
        self.all.append((process, here))
        return process, here

    def close(self) -> None:
        for process, pipe in self.all:
            process.kill()
            process.join(LIMIT)
            pipe.close()


@pytest.fixture
def members(ctx: Any) -> Iterator[Members]:
    everyone = Members(ctx, share(2))
    yield everyone
    everyone.close()


def said(pipe: Any, word: str, timeout: float = LIMIT) -> bool:
    return bool(pipe.poll(timeout)) and pipe.recv() == word


def test_workers_of_the_main_program_never_wait(members: Members, two_tokens: Tokens) -> None:
    pipes = [members.start("top")[1] for _ in range(3)]
    for pipe in pipes:
        assert said(pipe, "begun")
    assert two_tokens.get_value() == 0
    for pipe in pipes:
        pipe.send("end")
        assert said(pipe, "ended")
    assert two_tokens.get_value() == 2


def test_workers_within_a_task_wait_for_one_and_the_heir_does_not(members: Members, two_tokens: Tokens) -> None:
    first, second = (members.start("nested")[1] for _ in range(2))
    assert said(first, "begun")
    assert said(second, "begun")
    third = members.start("nested")[1]
    assert said(members.start("heir")[1], "begun")
    eventually(lambda: two_tokens.waiters, LIMIT)
    assert not third.poll(0)
    first.send("end")
    assert said(third, "begun")


def test_a_nested_one_that_has_waited_long_enough_goes_without(members: Members, two_tokens: Tokens) -> None:
    holders = [members.start("nested")[1] for _ in range(2)]
    assert all(said(pipe, "begun") for pipe in holders)
    assert said(members.start("nested", patience=0.05)[1], "begun")
    assert two_tokens.get_value() == 0


def test_a_killed_one_s_token_goes_to_the_next(members: Members, two_tokens: Tokens) -> None:
    victim, first = members.start("nested")
    assert said(first, "begun")
    assert said(members.start("top")[1], "begun")
    third = members.start("nested")[1]
    eventually(lambda: two_tokens.waiters, LIMIT)
    os.kill(victim.pid, signal.SIGKILL)
    assert said(third, "begun")


def test_what_a_killed_waiter_would_have_got_goes_on(members: Members, two_tokens: Tokens) -> None:
    holders = [members.start("nested")[1] for _ in range(2)]
    assert all(said(pipe, "begun") for pipe in holders)
    victim, _ = members.start("nested")
    eventually(lambda: two_tokens.waiters, LIMIT)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(LIMIT)
    last = members.start("nested")[1]
    holders[0].send("end")
    assert said(last, "begun")


def test_a_turn_that_was_not_ended_is_gone_on_with(two_tokens: Tokens) -> None:
    for kind in ("top", "nested"):
        turn = Turn(kind)  # type: ignore[arg-type]
        turn.begin()
        turn.begin()
        assert two_tokens.get_value() == 1
        turn.end()
        turn.end()
        assert two_tokens.get_value() == 2


def test_a_turn_without_a_token_gives_none_back(two_tokens: Tokens) -> None:
    turn = Turn("top")
    gate = procession.Event()
    holder = procession.Process(target=lambda: [two_tokens.acquire(), two_tokens.acquire(), gate.wait()])
    holder.start()
    try:
        eventually(lambda: two_tokens.get_value() == 0, LIMIT)
        turn.begin()
        turn.end()
        assert two_tokens.get_value() == 0
    finally:
        gate.set()
        holder.join(LIMIT)
    assert two_tokens.get_value() == 2


def test_the_child_of_a_fork_does_not_give_back_its_parent_s(two_tokens: Tokens) -> None:
    turn = Turn("nested")
    turn.begin()
    pid = os.fork()
    if pid == 0:
        try:
            turn.end()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert two_tokens.get_value() == 1
    turn.end()
    assert two_tokens.get_value() == 2


def test_no_room_fails_no_task(two_tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def _held(self) -> int:
            return 0

        def _give(self, units: int, own: bool) -> None: ...

        def acquire(self, *how: Any) -> bool:
            raise OSError(28, "no room")

    monkeypatch.setattr(module, "_tokens", Full())
    for kind in ("top", "nested"):
        turn = Turn(kind)  # type: ignore[arg-type]
        turn.begin()
        turn.end()


# --- how many workers ---


def test_a_pool_has_a_worker_for_each_processor_of_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_count", lambda: 8)
    assert default_workers() == 8
    given, workers = share(4)
    assert workers == 4
    adopt(given, workers)
    assert default_workers() == 2
    _, deeper = share(2)
    assert deeper == 8
    adopt(given, deeper)
    assert default_workers() == 1
    adopt(given, 100)
    assert default_workers() == 1


def test_a_worker_knows_its_share(ctx: Any, ask: Any, two_tokens: Tokens) -> None:
    given = share(1000)

    def job() -> Any:
        from procession.pool import tokens

        tokens.adopt(*given)
        mine = tokens.tokens()
        return tokens.default_workers(), type(mine).__name__, mine.take_nowait(), mine.get_value()

    assert ask(ctx, job) == (1, "Tokens", True, 1)
    eventually(lambda: two_tokens.get_value() == 2, LIMIT)


def test_threads_of_one_process_share_its_token(two_tokens: Tokens) -> None:
    two_tokens.take()
    thread = threading.Thread(target=two_tokens.take)
    thread.start()
    thread.join(LIMIT)
    assert two_tokens.get_value() == 1
    two_tokens.give()
