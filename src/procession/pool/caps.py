"""How many threads the numerical libraries of a worker start: together as many as there are processors, not each as many."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from procession.core import cpus
from procession.core.recent import Recent

__all__ = ["NAMES", "apply", "caps"]

#: These fall back to OMP_NUM_THREADS: whoever has set that has set them.
_FOLLOWERS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
#: The variables, in the order in which they are looked at.
NAMES = ("OMP_NUM_THREADS", *_FOLLOWERS, "VECLIB_MAXIMUM_THREADS")
#: threadpoolctl's word for a library -> its variable.
_LIBRARIES = {
    "openmp": "OMP_NUM_THREADS", "openblas": "OPENBLAS_NUM_THREADS", "mkl": "MKL_NUM_THREADS", "blis": "BLIS_NUM_THREADS",
}  # fmt: skip
_LOADED = re.compile(rb"/[^/\n]*(?:blas|mkl_rt|libblis|lib[gi]?omp)[^/\n]*$", re.MULTILINE | re.IGNORECASE)

cpu_count = Recent(cpus.cpu_count)
_applied: dict[str, str] = {}  #: what `apply` set in this process
_limits: Any = None  #: threadpoolctl's: in force as long as it lives


def caps(workers: int) -> dict[str, str]:
    """The environment variables that give each of `workers` its share of this process's processors: one at least.

    Without those that the user set, and without those of libraries that go by the user's OMP_NUM_THREADS. In a worker the share
    is one of the worker's own. Does not block.
    """
    ours = {name: int(value) for name, value in _applied.items() if os.environ.get(name) == value}
    users = {name for name in NAMES if name in os.environ and name not in ours}
    if "OMP_NUM_THREADS" in users:
        users.update(_FOLLOWERS)
    here = cpu_count()
    return {name: str(max(1, min(here, ours.get(name, here)) // max(1, workers))) for name in NAMES if name not in users}


def apply(caps: dict[str, str]) -> None:
    """In a worker, before the program's modules are imported: set what `caps` of the parent gave.

    A library that is loaded already (in a forked worker, or by the zygote) has read its variable: it is limited by
    threadpoolctl, if that is installed. Raises nothing.
    """
    os.environ.update(caps)
    _applied.clear()
    _applied.update(caps)
    if caps and _is_loaded():
        _limit(caps)


def _is_loaded() -> bool:
    """Whether a library that starts threads is in our memory. They come with modules of numpy and the like only."""
    if not any(name in sys.modules for name in ("numpy", "torch", "scipy", "sklearn", "mkl", "numexpr")):
        return False
    try:
        with open("/proc/self/maps", "rb") as file:
            return _LOADED.search(file.read()) is not None
    except OSError:
        return False


def _limit(caps: dict[str, str]) -> None:
    global _limits
    try:
        from importlib import import_module

        control = import_module("threadpoolctl")
        wanted = {
            library["prefix"]: int(caps[name])
            for library in control.threadpool_info()
            if (name := _LIBRARIES.get(library["internal_api"], "")) in caps
        }
        _limits = control.threadpool_limits(limits=wanted)
    except Exception:
        return  # not installed, or not for these libraries: more threads than processors are slow, not wrong
