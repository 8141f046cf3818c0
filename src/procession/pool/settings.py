"""How a pool was asked to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Settings"]


class Settings(NamedTuple):
    """What both faces of a pool give to the engine; checked by them."""

    workers: int
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    max_tasks: int | None = None  # a worker is replaced after so many,
    max_memory: int | None = None  # when it has more than so many bytes resident,
    max_age: float | None = None  # or is older than so many seconds
    idle_timeout: float | None = None  # workers beyond `least` leave after so many seconds without a task
    exit_function: Callable[..., Any] | None = None
    exit_args: tuple[Any, ...] = ()
    eager: bool = False  # all workers from the start, rather than as they are needed
    daemon: bool | None = None
    name: str = "Worker"
    threads: int | None = None  # of BLAS and OpenMP in each worker; None: the processors divided by the workers
