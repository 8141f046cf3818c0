"""Why a scope is being ended."""

from __future__ import annotations

from enum import Enum

__all__ = ["Why"]


class Why(Enum):
    """What a scope was ended by. The value completes "scope takes on nothing more: "."""

    FAILED = "something in it failed"
    BODY = "its block raised"
    CANCELLED = "it was cancelled"
    OUTER = "an outer scope was ended"
    TIMEOUT = "its time limit has passed"
