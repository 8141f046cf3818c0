"""The shared pool is closed after each test; gates, through which blocks go when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from gates import LIMIT, Gate

from procession import dispatch
from procession.core import callers
from procession.dispatch import home


@pytest.fixture(autouse=True)
def shut_down(no_memory_is_left: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(callers, "IDLENESS", 0.02)
    monkeypatch.setattr(home.tokens, "default_workers", lambda: 2)
    yield
    engine = home._engine
    dispatch.shutdown(wait=False)
    if engine is not None and not engine.join(LIMIT):
        engine.end("kill", None)
        engine.join(5)
        raise AssertionError("blocks have not ended")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gates() -> Callable[[int], list[Gate]]:
    return lambda count: [Gate() for _ in range(count)]


