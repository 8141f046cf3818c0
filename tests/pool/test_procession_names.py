"""Where the pools are found: in procession, its contexts, procession.pool, managers."""

from __future__ import annotations

import concurrent.futures
import inspect
import multiprocessing.pool
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import procession
import procession.pool
from procession.pool import executor, future, pool, results, reusable, worker

LIMIT = 30
SOURCE = Path(procession.__file__).parents[1]


def test_the_roof_has_them() -> None:
    assert procession.ProcessPoolExecutor is executor.ProcessPoolExecutor
    assert procession.get_reusable_executor is reusable.get_reusable_executor
    assert procession.current_worker is worker.current_worker
    assert {"ProcessPoolExecutor", "Pool", "pool", "current_worker", "get_reusable_executor"} <= set(procession.__all__)


def test_the_room_stands_for_the_module_of_the_standard_library() -> None:
    assert procession.pool.Pool is pool.Pool
    assert procession.pool.ApplyResult is procession.pool.AsyncResult is results.AsyncResult
    assert procession.pool.IMapUnorderedIterator is procession.pool.IMapIterator
    assert procession.pool.ProcessPoolExecutor is executor.ProcessPoolExecutor
    assert procession.pool.Future is future.Future


@pytest.mark.parametrize("name", ["ThreadPool", "MaybeEncodingError", "RemoteTraceback", "RUN", "CLOSE", "TERMINATE"])
def test_what_is_the_same_there_is_the_same(name: str) -> None:
    assert getattr(procession.pool, name) == getattr(multiprocessing.pool, name)


@pytest.mark.parametrize("name", multiprocessing.pool.__all__)
def test_all_that_the_module_announces_is_there(name: str) -> None:
    assert name in procession.pool.__all__
    assert getattr(procession.pool, name) is not None


@pytest.mark.parametrize("name", procession.pool.__all__)
def test_what_is_announced_exists(name: str) -> None:
    assert getattr(procession.pool, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = procession.pool.nonsense  # type: ignore[attr-defined]


def is_prefix(theirs: Any, ours: Any) -> None:
    """Ours takes what theirs takes, and beyond that keywords only."""
    known = [(p.name, p.kind, p.default) for p in inspect.signature(theirs).parameters.values()]
    given = [(p.name, p.kind, p.default) for p in inspect.signature(ours).parameters.values()]
    assert given[: len(known)] == known
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in given[len(known) :])


METHODS = [name for name in dir(multiprocessing.pool.Pool) if not name.startswith("_") and name != "Process"]


@pytest.mark.parametrize("name", METHODS)
def test_pool_has_every_method(name: str) -> None:
    theirs, ours = getattr(multiprocessing.pool.Pool, name), getattr(pool.Pool, name)
    names = [p.name for p in inspect.signature(theirs).parameters.values()]
    assert list(inspect.signature(ours).parameters)[: len(names)] == names


def test_a_pool_is_made_of_the_same_arguments() -> None:
    is_prefix(multiprocessing.pool.Pool.__init__, pool.Pool.__init__)
    theirs = list(inspect.signature(concurrent.futures.ProcessPoolExecutor.__init__).parameters)
    ours = inspect.signature(executor.ProcessPoolExecutor.__init__).parameters
    assert list(ours)[:5] == theirs[:5]
    assert set(theirs) <= set(ours)


def test_an_executor_is_one() -> None:
    assert issubclass(executor.ProcessPoolExecutor, concurrent.futures.Executor)
    assert issubclass(future.Future, concurrent.futures.Future)


@pytest.mark.parametrize("method", ["zygote", "forkserver", "fork", "spawn"])
def test_the_pool_of_a_context_has_its_processes(method: str) -> None:
    context = procession.get_context(method)
    with context.Pool(1) as ours:
        assert type(ours) is pool.Pool
        assert type(ours._pool[0]) is context.Process
        assert ours.apply(os.getpid) == ours._pool[0].pid


def test_the_default_pool_is_of_the_default_method() -> None:
    with procession.Pool(1, exit_function=os.getpid) as ours:
        assert ours._ctx.get_start_method() == procession.get_start_method()
        pid = ours.apply(os.getpid)
        ours.close()
        ours.join()
        assert ours.exit_results == [pid]


def test_contexts_of_the_standard_library_are_taken_for_ours() -> None:
    context = multiprocessing.get_context("spawn")
    with procession.ProcessPoolExecutor(1, mp_context=context) as ours:
        assert ours.submit(pow, 2, 5).result(LIMIT) == 32
        assert ours._mp_context is procession.get_context("spawn")


def test_a_manager_has_a_pool_for_others() -> None:
    with procession.Manager() as manager:
        with manager.Pool(1) as ours:
            assert ours.map(abs, [-1, -2]) == [1, 2]


def test_to_import_procession_imports_no_pool() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import procession; procession.Process;"
        "print([name for name in sys.modules if name.startswith(('procession.pool', 'concurrent', 'multiprocessing.pool'))])"
    )
    done = subprocess.run([sys.executable, "-E", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_worker_does_without_the_faces(program: Any) -> None:
    done = program.run_script("""
        import sys
        import procession

        def imported():
            return [name for name in ("procession.pool.engine", "concurrent.futures.process") if name in sys.modules]

        if __name__ == "__main__":
            with procession.ProcessPoolExecutor(1) as pool:
                print(pool.submit(imported).result(20))
    """)
    assert (done.stdout, done.stderr) == ("[]\n", "")
