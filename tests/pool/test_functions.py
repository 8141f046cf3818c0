"""Functions go to each worker once; what has a state of its own travels with each task."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
from collections.abc import Callable
from typing import Any

import pytest

from procession.pool import functions
from procession.pool.executor import ProcessPoolExecutor
from procession.testing.saboteurs import Unpicklable
from procession.testing.watch import eventually

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def test_lambdas_and_inner_functions(executor: ProcessPoolExecutor, pool: Any) -> None:
    def twice(number: int) -> int:
        return 2 * number

    assert executor.submit(lambda a, b: a - b, 5, b=3).result(LIMIT) == 2
    assert list(executor.map(twice, range(4))) == pool.map(twice, range(4)) == [0, 2, 4, 6]


def test_a_function_is_sent_once(executor: ProcessPoolExecutor) -> None:
    weight = bytes(100_000)

    def heavy(number: int) -> int:
        return number + len(weight)

    table = executor._engine.functions.table
    assert list(executor.map(heavy, range(50))) == [100_000 + number for number in range(50)]
    assert executor.submit(heavy, 1).result(LIMIT) == 100_001
    assert len(table) == 1
    assert len(executor.submit(abs, -1)._engine.functions.table) == 2


def test_a_function_that_dies_is_dropped(executor: ProcessPoolExecutor) -> None:
    table = executor._engine.functions.table

    def make() -> None:
        def short_lived() -> int:
            return 1

        assert executor.submit(short_lived).result(LIMIT) == 1
        assert len(table) == 1

    make()
    eventually(lambda: gc.collect() is not None and len(table) == 0)


def test_functions_may_die_before_their_tasks_run(executor: ProcessPoolExecutor, doors: Any) -> None:
    blocked = [executor.submit(doors.enter, door) for door in (0, 1)]
    futures = [executor.submit(eval(f"lambda: {number}")) for number in range(50)]
    gc.collect()
    doors.let(0, 1)
    assert [future.result(LIMIT) for future in futures] == list(range(50))
    assert [future.result(LIMIT) for future in blocked] == [None, None]


def test_more_functions_than_a_worker_keeps(executors: Make) -> None:
    executor = executors(1)
    functions = [eval(f"lambda: {number}") for number in range(600)]
    for _ in range(2):
        assert [future.result(LIMIT) for future in map(executor.submit, functions)] == list(range(600))


def test_a_closure_goes_anew_when_its_cell_changes(executor: ProcessPoolExecutor) -> None:
    value = 1

    def read() -> int:
        return value

    first = executor.submit(read)
    value = 2
    second = executor.submit(read)
    value = 1000
    assert executor.submit(read).result(LIMIT) == 1000
    assert (first.result(LIMIT), second.result(LIMIT)) == (1, 2)


def test_a_recursive_closure(executor: ProcessPoolExecutor) -> None:
    def factorial(number: int) -> int:
        return 1 if number < 2 else number * factorial(number - 1)

    assert executor.submit(factorial, 5).result(LIMIT) == 120
    assert list(executor.map(factorial, range(5))) == [1, 1, 2, 6, 24]


def test_defaults_that_change(executor: ProcessPoolExecutor) -> None:
    def read(value: int = 1) -> int:
        return value

    assert executor.submit(read).result(LIMIT) == 1
    read.__defaults__ = (2,)
    assert executor.submit(read).result(LIMIT) == 2


MAIN = """
import procession

NUMBER, FACTOR = 1, 10

def read():
    return NUMBER

def within():
    return [NUMBER * FACTOR for _ in range(2)]

def through():
    return read() + sum(within())

def odd(n):
    return n != 0 and even(n - 1)

def even(n):
    return n == 0 or odd(n - 1)

def call(function, *args):
    return pool.submit(function, *args).result(20)

if __name__ == "__main__":
    with procession.ProcessPoolExecutor(1) as pool:
        print(call(read), call(within), call(through), call(even, 10))
        NUMBER = 2
        print(call(read), call(within), call(through), call(even, 10))
        FACTOR = 100
        print(call(read), call(within), call(through), call(even, 11))
        def read():
            return -1
        print(call(read), call(through))
"""


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_functions_of_main_go_with_the_globals_of_now(program: Any, method: str) -> None:
    code = MAIN.replace('__main__":\n', f'__main__":\n    procession.set_start_method({method!r})\n')
    done = program.run_script(code)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "1 [10, 10] 21 True", "2 [20, 20] 42 True", "2 [200, 200] 402 False", "-1 399",
    ]  # fmt: skip


class Counter:
    """What has a state."""

    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, number: int) -> int:
        return self.start + number

    def __call__(self, number: int) -> int:
        return self.start * number

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @staticmethod
    def fixed() -> int:
        return 7


def test_what_has_a_state_travels_with_each_task(executor: ProcessPoolExecutor, pool: Any) -> None:
    counter = Counter(1)
    partial = functools.partial(pow, 2)
    futures = [executor.submit(counter.plus, 1), executor.submit(counter, 5), executor.submit(partial, 3)]
    counter.start = 10
    assert [future.result(LIMIT) for future in futures] == [2, 5, 8]
    assert list(executor.map(counter.plus, range(3))) == [10, 11, 12]
    assert list(executor.map(counter, range(5), chunksize=2)) == [0, 10, 20, 30, 40]
    assert pool.map(counter.plus, range(100)) == list(range(10, 110))
    assert pool.starmap(counter.plus, [(1,), (2,)]) == [11, 12]
    assert executor.submit("-".join, ["a", "b"]).result(LIMIT) == "a-b"
    assert executor.submit(Counter.name).result(LIMIT) == "Counter"
    assert executor.submit(Counter.fixed).result(LIMIT) == 7
    assert executor.submit(Counter, 3).result(LIMIT).start == 3
    assert len(executor._engine.functions.table) <= 2  # the class and the static method


def test_what_cannot_be_pickled_is_its_tasks_error_each_time(executor: ProcessPoolExecutor) -> None:
    bad = Unpicklable()

    def function() -> Any:
        return bad

    for _ in range(3):
        with pytest.raises(TypeError, match="does not pickle"):
            executor.submit(function).result(LIMIT)
    assert executor.submit(lambda: 5).result(LIMIT) == 5
    assert executor.submit(os.getpid).result(LIMIT) > 0
    with pytest.raises(TypeError, match="does not pickle"):
        executor.submit(function).result(LIMIT)


def test_what_is_no_function_is_its_tasks_error(executor: ProcessPoolExecutor) -> None:
    called: Any = asyncio.sleep(0)
    for wrong, kind in ((5, "int"), (called, "coroutine")):
        with pytest.raises(TypeError, match=f"a task's function must be callable, not {kind}"):
            executor.submit(wrong).result(0)
    called.close()
    assert executor._processes == {}  # (nobody was started for it)
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_a_function_that_cannot_be_loaded_is_its_tasks_error(executor: ProcessPoolExecutor) -> None:
    from procession.testing.saboteurs import UnpicklableInChild

    bad = UnpicklableInChild()
    futures = [executor.submit(lambda: bad) for _ in range(3)]
    for future in futures:
        with pytest.raises(ValueError, match="does not unpickle"):
            future.result(LIMIT)
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_a_module_that_makes_an_executor_when_it_is_imported_starts_nothing_by_that(program: Any) -> None:
    """Workers import it, and their zygote does: none of them has a child for it, and the zygote is not given up."""
    program.script(
        """
        import os
        import procession
        executor = procession.ProcessPoolExecutor(2)

        def children(pid):
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                return file.read().split()

        def look(_):
            return children(os.getpid())
        """,
        "with_executor.py",
    )
    done = program.run_script("""
        import os
        import procession
        import with_executor
        from procession.process.nursery import nursery

        if __name__ == "__main__":
            with procession.Pool(2) as pool:
                print(pool.map(with_executor.look, range(2)), pool.map(with_executor.look, range(2)))
            first = nursery._zygote.pid
            with procession.Pool(1) as pool:
                print(pool.apply(with_executor.look, (0,)), nursery._zygote.pid == first, nursery.preload())
    """)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "[[], []] [[], []]"
    assert done.stdout.splitlines()[1].startswith("[] True ")
    assert "with_executor" in done.stdout


def test_functions_that_go_at_the_interpreter_s_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What modules are made of may be None by then."""
    here = functions.Functions()
    keys = [here.key_of(lambda: 1), here.key_of(abs)]
    monkeypatch.setattr(functions, "_NONE", None)
    for key in reversed(keys):
        here.drop(key)
