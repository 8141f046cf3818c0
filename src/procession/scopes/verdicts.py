"""How a scope ends for who opened it: what leaving raises, and what is raised to who comes too late."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from procession.errors import ScopeEnded, ScopeTimeout
from procession.scopes.why import Why

if TYPE_CHECKING:
    from procession.scopes.core import Core

__all__ = ["ended", "is_consequence", "verdict"]


def ended(core: Core) -> ScopeEnded:
    """What is raised to who wants something of it that it has not any more."""
    if core.why is None:
        return ScopeEnded(core.name, "its block has been left")
    first = core.origin()
    reason = first.why.value if first.why is not None else ""
    if first.why is Why.FAILED and first.failures and hasattr(first.failures[0], "name"):
        reason = f"{first.failures[0].name} failed"
    error = ScopeEnded(first.name, reason)
    error._scope = first.id
    return error


def is_consequence(core: Core, error: BaseException) -> bool:
    """Whether the block raised it because its scope, or an outer one, was being ended."""
    if core.why is None:
        return False
    if isinstance(error, ScopeEnded):
        return error._scope in (core.id, core.origin().id)
    return isinstance(error, CancelledError)


def verdict(core: Core, error: BaseException | None) -> BaseException | None:
    """What leaving it raises, after a block that raised `error` (`error` itself: let it go on); None: nothing."""
    if error is not None and is_consequence(core, error):
        error = None
    if error is not None and not isinstance(error, Exception):
        return error
    errors = _errors(core, [] if error is None else [error])
    if core.why is Why.TIMEOUT:
        late = ScopeTimeout(core.name, core.timeout or 0.0, core.unfinished)
        if not errors:
            return late
        errors.append(late)
    if errors:
        group = BaseExceptionGroup(f"{core.name} failed", errors)
        group.__suppress_context__ = True
        return group
    if core.why is Why.OUTER and core.host is not None and not core.host.is_told_by(core.outer):
        return ended(core)
    return None


def _errors(core: Core, errors: list[BaseException]) -> list[BaseException]:
    """Those, and what else has failed, each once."""
    failures, core.failures = core.failures, []
    for failure in failures:
        found = failure if isinstance(failure, BaseException) else failure.exception(0)
        if found is not None and all(found is not other for other in errors):
            errors.append(found)
    return errors
