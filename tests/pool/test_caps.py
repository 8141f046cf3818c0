"""Workers share the processors for their libraries' threads, too."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from procession.pool import caps as caps_module
from procession.pool.caps import NAMES, apply, caps


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """... and an environment in which nothing is set."""
    monkeypatch.setattr(caps_module, "cpu_count", lambda: 8)
    monkeypatch.setattr(caps_module, "_applied", {})
    monkeypatch.setattr(caps_module, "_limits", None)
    before = {name: os.environ.pop(name) for name in NAMES if name in os.environ}
    yield
    for name in NAMES:
        os.environ.pop(name, None)
    os.environ.update(before)


@pytest.mark.parametrize(("workers", "threads"), [(1, "8"), (2, "4"), (3, "2"), (8, "1"), (100, "1"), (0, "8")])
def test_each_worker_gets_its_share(workers: int, threads: str) -> None:
    assert caps(workers) == dict.fromkeys(NAMES, threads)


def test_what_the_user_set_is_left_alone() -> None:
    os.environ["MKL_NUM_THREADS"] = "3"
    assert set(caps(2)) == set(NAMES) - {"MKL_NUM_THREADS"}


def test_the_libraries_that_go_by_omp_s_are_left_alone_with_it() -> None:
    os.environ["OMP_NUM_THREADS"] = "3"
    assert caps(2) == {"VECLIB_MAXIMUM_THREADS": "4"}


def test_a_worker_s_own_workers_share_its_share() -> None:
    apply(caps(2))
    assert os.environ["OMP_NUM_THREADS"] == "4"
    assert caps(2) == dict.fromkeys(NAMES, "2")
    os.environ["OMP_NUM_THREADS"] = "7"  # by the task itself
    assert caps(2) == {"VECLIB_MAXIMUM_THREADS": "2"}


def test_a_worker_has_them_before_it_imports(ctx: Any, ask: Any) -> None:
    given = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}

    def job() -> Any:
        import os

        from procession.pool.caps import apply

        apply(given)
        return {name: os.environ[name] for name in given}

    assert ask(ctx, job) == given


# --- a library that is loaded already ---


class Controller(types.ModuleType):
    """Stands for threadpoolctl."""

    def __init__(self) -> None:
        super().__init__("threadpoolctl")
        self.limits: Any = None

    def threadpool_info(self) -> list[dict[str, Any]]:
        return [
            {"internal_api": "openblas", "prefix": "libscipy_openblas", "num_threads": 8},
            {"internal_api": "openmp", "prefix": "libgomp", "num_threads": 8},
            {"internal_api": "strange", "prefix": "libstrange", "num_threads": 8},
        ]

    def threadpool_limits(self, limits: Any) -> Any:
        self.limits = limits
        return object()


def test_a_loaded_library_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller()
    monkeypatch.setitem(sys.modules, "threadpoolctl", controller)
    monkeypatch.setattr(caps_module, "_is_loaded", lambda: True)
    apply({"OPENBLAS_NUM_THREADS": "2"})
    assert controller.limits == {"libscipy_openblas": 2}


def test_without_threadpoolctl_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(caps_module, "_is_loaded", lambda: True)
    apply({"OPENBLAS_NUM_THREADS": "2"})
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_a_loaded_library_is_seen(program: Any) -> None:
    if find_spec("numpy") is None:
        pytest.skip("numpy is not installed")
    done = program.run_script("""
        from procession.pool.caps import _is_loaded
        print(_is_loaded())
        import numpy
        with open("/proc/self/maps") as file:
            print(_is_loaded() == ("blas" in file.read()))
    """)
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


def test_without_numpy_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "torch", "scipy", "sklearn", "mkl", "numexpr"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not caps_module._is_loaded()
