"""Errors, as a worker writes them down for the pool: whatever is wrong with them, something can be said."""

from __future__ import annotations

import traceback
from typing import Any

from procession.core import codec
from procession.errors import TaskStopped

__all__ = ["shown", "written"]


def shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def written(error: BaseException) -> tuple[bytes | None, str, str]:
    """An exception as (its pickle, what it says, its traceback): the pickle is None if it has none."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle = codec.dumps(error.with_traceback(None), whole=True)[0]
    except TaskStopped:
        raise
    except BaseException as reason:
        return None, f"{_said(error)} (it cannot be pickled: {_said(reason)})", text
    finally:
        error.__traceback__ = None
    return pickle, _said(error), text


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__qualname__}: {error}"
    except Exception as reason:
        return f"{type(error).__qualname__}, whose str raises {type(reason).__name__}"
