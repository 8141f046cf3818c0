"""The standard library's private parts that we build on, in one place, and untyped: typeshed knows some of them, and not the
same in each version."""

from __future__ import annotations

import threading
from multiprocessing import context, process, reduction
from typing import Any

__all__ = ["mp_context", "mp_process", "mp_reduction", "mp_threading", "mp_util"]

mp_context: Any = context
mp_process: Any = process
mp_reduction: Any = reduction
mp_threading: Any = threading


_util: Any = None


def mp_util() -> Any:
    """`multiprocessing.util`: its import takes as long as all of procession's own, so it waits until it is needed."""
    global _util
    if _util is None:
        from multiprocessing import util

        _util = util
    return _util
