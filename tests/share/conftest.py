"""What is shared is given back."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import procession
from procession import _native
from procession.testing.watch import eventually


@pytest.fixture
def no_memory_is_left() -> Iterator[None]:
    """All memory that the test took is back after it."""
    procession.Lock()  # (there is a family)
    before = _native.commons_facts()["arena_used"]
    yield
    gc.collect()
    eventually(lambda: _native.commons_facts()["arena_used"] == before, what="all memory back")
