"""How an exception is written down in the process that raised it. What it becomes where it is read: pool/verdicts.py."""

from __future__ import annotations

import traceback
from typing import Any

from procession.core import codec
from procession.errors import TaskStopped

__all__ = ["represented", "said", "written"]


def represented(value: Any) -> str:
    """Its repr, whatever that raises."""
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
        return None, f"{said(error)} (it cannot be pickled: {said(reason)})", text
    finally:
        error.__traceback__ = None
    return pickle, said(error), text


def said(error: BaseException) -> str:
    """Its kind and its text, whatever that raises."""
    try:
        return f"{type(error).__qualname__}: {error}"
    except Exception as reason:
        return f"{type(error).__qualname__}, whose str raises {type(reason).__name__}"
