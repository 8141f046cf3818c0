"""A child that is there for as long as a block is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import procession


@contextlib.contextmanager
def sleeper(target: Callable[[], object]) -> Iterator[Any]:
    process = procession.Process(target=target)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
