"""Pools in the workers of pools: they share the processors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession.core.cpus import cpu_count
from procession.pool import caps
from procession.pool.executor import ProcessPoolExecutor

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def inner(kind: str, numbers: list[int]) -> list[int]:
    """A pool of its own, in a task."""
    if kind == "executor":
        with procession.ProcessPoolExecutor(2) as pool:
            return list(pool.map(abs, numbers))
    with procession.Pool(2) as pool:
        return pool.map(abs, numbers)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["executor", "pool"])
@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_a_task_makes_a_pool(executors: Make, kind: str, method: str) -> None:
    executor = executors(1, procession.get_context(method))
    assert executor.submit(inner, kind, [-1, -2, -3]).result(2 * LIMIT) == [1, 2, 3]


def test_the_workers_of_a_pool_make_pools(pools: Any) -> None:
    assert pools(2).starmap(inner, [("executor", [-1]), ("pool", [-2]), ("executor", [-3])]) == [[1], [2], [3]]


def test_three_floors(executor: ProcessPoolExecutor) -> None:
    def second(depth: int) -> int:
        if depth == 0:
            return os.getpid()
        with procession.ProcessPoolExecutor(1) as pool:
            found: int = pool.submit(second, depth - 1).result(LIMIT)
            return found

    assert len({executor.submit(second, depth).result(LIMIT) for depth in range(3)}) == 3


def test_many_tasks_make_pools_at_once(executor: ProcessPoolExecutor) -> None:
    """More workers than there are tokens, and each nested pool gets on."""

    def many(number: int) -> int:
        with procession.ProcessPoolExecutor(3) as pool:
            return sum(pool.map(pow, [number] * 6, range(6)))

    assert list(executor.map(many, range(4))) == [sum(number**power for power in range(6)) for number in range(4)]


def test_a_worker_has_its_share_of_processors(executors: Make) -> None:
    def default() -> tuple[int, int]:
        with procession.ProcessPoolExecutor() as pool:
            return pool._max_workers, pool.submit(lambda: procession.ProcessPoolExecutor()._max_workers).result(LIMIT)

    processors = cpu_count()
    one, all_of_them = executors(1), executors(processors)
    assert executors(None)._max_workers == processors
    assert one.submit(default).result(LIMIT) == (processors, 1)
    assert all_of_them.submit(default).result(LIMIT) == (1, 1)


def test_a_worker_says_who_it_is_in_the_innermost_pool(executor: ProcessPoolExecutor) -> None:
    def ids() -> tuple[int, int]:
        from procession import current_worker

        here = current_worker()
        assert here is not None
        with procession.ProcessPoolExecutor(1) as pool:
            return here.id, pool.submit(lambda: current_worker().id).result(LIMIT)

    assert executor.submit(ids).result(LIMIT) == (1, 1)


# --- threads of numerical libraries ---


def test_the_environment_of_a_worker_has_its_share_of_threads(executors: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in caps.NAMES:
        monkeypatch.delenv(name, raising=False)
    share = str(max(1, cpu_count() // 2))
    found = executors(2).submit(lambda: {name: os.environ.get(name) for name in caps.NAMES}).result(LIMIT)
    assert found == dict.fromkeys(caps.NAMES, share)


def test_it_is_there_before_a_module_of_the_program_is_imported(program: Any) -> None:
    program.script("import os; SEEN = os.environ.get('OMP_NUM_THREADS')\ndef seen(): return SEEN", "numerical.py")
    done = program.run_script("""
        import os
        os.environ.pop("OMP_NUM_THREADS", None)
        import procession

        def seen():
            import numerical
            return numerical.seen()

        if __name__ == "__main__":
            with procession.ProcessPoolExecutor(1, threads_per_worker=7) as pool:
                print(pool.submit(seen).result(20))
    """)
    assert (done.stdout, done.stderr) == ("7\n", "")


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_threads_per_worker_says_how_many(executors: Make, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    executor = executors(1, procession.get_context(method), threads_per_worker=3)
    assert executor.submit(os.getenv, "OMP_NUM_THREADS").result(LIMIT) == "3"


def test_what_the_user_has_said_is_left_alone(executors: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert executors(1).submit(os.getenv, "OMP_NUM_THREADS").result(LIMIT) == "5"
    assert executors(1, threads_per_worker=2).submit(os.getenv, "OMP_NUM_THREADS").result(LIMIT) == "5"


# --- other pools in a worker ---


def test_threads_of_a_worker_make_pools_of_threads(executor: ProcessPoolExecutor) -> None:
    """Also when the zygote has imported what pools of threads are made of."""

    def threads() -> list[int]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(abs, [-1, -2]))

    def both() -> list[int]:
        from concurrent.futures import process  # noqa: F401

        return threads()

    from procession.process.nursery import nursery

    nursery.learn({"concurrent.futures.thread", "concurrent.futures.process"})
    assert executor.submit(threads).result(LIMIT) == [1, 2]
    for _ in range(3):  # (more of them than spares that were there before)
        with ProcessPoolExecutor(2) as other:
            assert other.submit(both).result(LIMIT) == [1, 2]
