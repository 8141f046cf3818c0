"""The rules of restarting."""

from __future__ import annotations

import pytest

from procession.scopes.restarts import Intensity, affected, is_wanted


@pytest.mark.parametrize(
    ("strategy", "expected"), [("one_for_one", "b"), ("rest_for_one", "bcd"), ("one_for_all", "abcd")]
)
def test_who_is_affected(strategy: str, expected: str) -> None:
    assert "".join(affected(strategy, list("abcd"), "b")) == expected


@pytest.mark.parametrize(
    ("restart", "failed", "wanted"),
    [
        ("permanent", False, True), ("permanent", True, True), ("transient", False, False), ("transient", True, True),
        ("temporary", False, False), ("temporary", True, False),
    ],
)  # fmt: skip
def test_who_is_wanted(restart: str, failed: bool, wanted: bool) -> None:
    assert is_wanted(restart, failed) is wanted


def test_how_often_is_too_often() -> None:
    intensity = Intensity(2, 5.0)
    assert [intensity.is_exceeded(now) for now in (0.0, 1.0, 5.5, 5.9)] == [False, False, False, True]
    assert Intensity(0, 5.0).is_exceeded(0.0)
