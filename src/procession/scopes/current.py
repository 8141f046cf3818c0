"""Which scope's block runs: scopes opened within it are inner ones of it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procession.scopes.core import Core

__all__ = ["innermost"]

#: The innermost scope of this thread or task, perhaps one that it was made in (contexts are copied).
innermost: ContextVar[Core | None] = ContextVar("procession.scope", default=None)
