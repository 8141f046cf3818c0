"""The context whose processes are a pool's workers."""

from __future__ import annotations

from multiprocessing.context import BaseContext
from typing import Any

from procession.process.context import CONTEXTS, default_context
from procession.process.makers import Makers

__all__ = ["context_of"]


def context_of(context: Any) -> Any:
    """Ours for that: None for the default one, the standard library's by its start method (its processes are no members of
    the family). Raises TypeError for what is no context."""
    if context is None:
        return default_context.get_context()
    if isinstance(context, BaseContext) and not isinstance(context, Makers):
        return CONTEXTS[context.get_start_method()]
    if not hasattr(context, "Process") or not hasattr(context, "get_start_method"):
        raise TypeError(f"a context is what get_context() returns, or None; got {context!r}")
    return context
