"""The pools that a program takes from `multiprocessing` and `concurrent.futures` are ours, and the standard library's again
after `uninstall()`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., str]

OURS = "from procession.pool import AsyncResult, Pool, ProcessPoolExecutor\n"
INSTALL = "from procession import compat; compat.install()\n"


def program(*parts: str) -> str:
    import textwrap

    return "".join(textwrap.dedent(part) for part in parts)


WAYS = """
import concurrent.futures, concurrent.futures.process, multiprocessing, multiprocessing.pool
from concurrent.futures import ProcessPoolExecutor as executor_1
from concurrent.futures.process import ProcessPoolExecutor as executor_2
from multiprocessing.pool import Pool as pool_1
assert {executor_1, executor_2, concurrent.futures.ProcessPoolExecutor} == {ProcessPoolExecutor}
def made(make):
    with make(1) as pool:
        return type(pool)

assert {pool_1, multiprocessing.pool.Pool, made(multiprocessing.Pool)} == {Pool}
for method in ("fork", "spawn", "forkserver"):
    assert made(multiprocessing.get_context(method).Pool) is Pool
assert multiprocessing.pool.AsyncResult is AsyncResult
print("ours")
"""


def test_by_whatever_name(run: Run) -> None:
    assert run(program(INSTALL, OURS, WAYS), install=False) == "ours\n"


def test_what_was_imported_before(run: Run) -> None:
    before = "import concurrent.futures, multiprocessing.pool; concurrent.futures.ProcessPoolExecutor\n"
    assert run(program(before, OURS, INSTALL, WAYS), install=False) == "ours\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_uninstall_gives_theirs_back(run: Run, when: str) -> None:
    ask = "import concurrent.futures, multiprocessing.pool; concurrent.futures.ProcessPoolExecutor, multiprocessing.pool.Pool\n"
    before, after = (ask, "") if when == "before" else ("", ask)
    out = run(
        program(
            before, INSTALL, OURS, after,
            """
            compat.uninstall()
            import concurrent.futures, concurrent.futures.process, multiprocessing.pool
            theirs = concurrent.futures.ProcessPoolExecutor
            assert theirs is concurrent.futures.process.ProcessPoolExecutor
            print(theirs.__module__, multiprocessing.pool.Pool.__module__, multiprocessing.get_context("fork").Pool.__module__)
            print(type(concurrent.futures.process), type(multiprocessing.pool))
            compat.install()
            assert concurrent.futures.ProcessPoolExecutor is ProcessPoolExecutor
            assert multiprocessing.pool.Pool is Pool
            """,
        ),
        install=False,
    )  # fmt: skip
    theirs = "concurrent.futures.process multiprocessing.pool multiprocessing.context"
    assert out == f"{theirs}\n<class 'module'> <class 'module'>\n"


def test_neither_module_is_imported_by_install(run: Run) -> None:
    out = run(
        """
        import sys
        watched = {"concurrent.futures", "concurrent.futures.process", "multiprocessing.pool", "procession.pool"}
        print(watched & set(sys.modules))
        import concurrent.futures
        print(watched & set(sys.modules))
        import concurrent.futures.process, multiprocessing.pool
        print("procession.pool" in sys.modules)
        """
    )
    assert out == "set()\n{'concurrent.futures'}\nFalse\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_pools_of_threads_work_as_before(run: Run, when: str) -> None:
    imported = """
        import multiprocessing.dummy
        from multiprocessing.pool import ThreadPool
        class Own(ThreadPool): pass
        """
    first, second = (imported, "") if when == "before" else ("", imported)
    out = run(
        program(
            first, INSTALL, OURS, second,
            """
            for pool in (ThreadPool(2), Own(2), multiprocessing.dummy.Pool(2)):
                with pool:
                    print(pool.map(abs, [-1, 2]), list(pool.imap(abs, [-3])), pool.apply_async(abs, (-4,)).get())
                pool.join()
            """,
        ),
        install=False,
    )  # fmt: skip
    assert out == "[1, 2] [3] 4\n" * 3


def test_the_pools_that_there_are(run: Run) -> None:
    out = run(
        """
        import concurrent.futures, multiprocessing.pool, procession.pool
        assert concurrent.futures.ProcessPoolExecutor is procession.pool.ProcessPoolExecutor
        for name in ("Pool", "ThreadPool", "AsyncResult", "ApplyResult", "MapResult", "MaybeEncodingError", "RemoteTraceback"):
            assert getattr(multiprocessing.pool, name) is getattr(procession.pool, name), name
        if __name__ == "__main__":
            with multiprocessing.Pool(1) as pool, concurrent.futures.ProcessPoolExecutor(1) as executor:
                print(pool.apply(abs, (-1,)), executor.submit(abs, -2).result(), type(pool) is procession.pool.Pool)
        """
    )
    assert out == "1 2 True\n"


def test_a_name_can_be_patched(run: Run) -> None:
    out = run(
        program(
            OURS, INSTALL,
            """
            import multiprocessing.pool
            from unittest import mock
            with mock.patch("multiprocessing.pool.Pool", "patched"), \\
                    mock.patch("concurrent.futures.process.ProcessPoolExecutor", "patched, too"):
                from concurrent.futures.process import ProcessPoolExecutor as executor
                print(multiprocessing.pool.Pool, executor)
            from concurrent.futures.process import ProcessPoolExecutor as executor
            assert (multiprocessing.pool.Pool, executor) == (Pool, ProcessPoolExecutor)
            """,
        ),
        install=False,
    )  # fmt: skip
    assert out == "patched patched, too\n"


def test_ours_may_use_what_is_theirs_while_it_is_imported(run: Run) -> None:
    """Whoever comes first: procession's pools are built on names of the modules that they stand for."""
    out = run(
        """
        import importlib.abc, importlib.machinery, sys

        class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                return importlib.machinery.ModuleSpec(name, self) if name == "procession.pool" else None

            def exec_module(self, module):
                from concurrent.futures.process import BrokenProcessPool
                from multiprocessing.pool import Pool, RemoteTraceback
                module.Pool = type("Pool", (Pool,), {})

        sys.meta_path.insert(0, Finder())
        import procession.pool
        from multiprocessing.pool import Pool
        print(Pool is procession.pool.Pool, [base.__module__ for base in Pool.__mro__[1:]])
        """
    )
    assert out == "True ['multiprocessing.pool', 'builtins']\n"
