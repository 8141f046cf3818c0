"""The context whose processes are a pool's workers."""

from __future__ import annotations

from multiprocessing.context import BaseContext
from typing import Any

from procession.process.context import CONTEXTS, default_context
from procession.process.makers import Makers

__all__ = ["context_of"]


def context_of(context: Any) -> Any:
    """Ours for that: None for the default one, the standard library's by its start method (its processes are no members of
    the family)."""
    if context is None:
        return default_context.get_context()
    if isinstance(context, BaseContext) and not isinstance(context, Makers):
        return CONTEXTS[context.get_start_method()]
    return context
