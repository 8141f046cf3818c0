"""`multiprocessing.connection` is ours after `install`, whenever it is imported, and theirs again after `uninstall`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., str]

CHECK = """
import multiprocessing
from procession.share import connection, listener

def whose():
    import multiprocessing.connection as module
    return [getattr(module, name).__module__ for name in ("Connection", "Pipe", "wait", "Listener", "Client")]

compat.uninstall()
before = whose()
compat.install()
print(whose() == [*["procession.share.connection"] * 3, *["procession.share.listener"] * 2])
ends = multiprocessing.Pipe()
print([type(end) is connection.Connection for end in ends])
compat.uninstall()
print(whose() == before == ["multiprocessing.connection"] * 5)
"""


def test_names_are_replaced_and_put_back(run: Run) -> None:
    assert run(CHECK) == "True\n[True, True]\nTrue\n"


@pytest.mark.parametrize("first", ["import multiprocessing.connection; ", ""])
def test_whenever_it_is_imported(run: Run, first: str) -> None:
    code = f"""
        {first}from procession import compat; compat.install()
        from multiprocessing.connection import Listener, Pipe
        print(Listener.__module__, type(Pipe()[0]).__module__)
    """
    assert run(code, install=False) == "procession.share.listener procession.share.connection\n"


def test_an_install_that_was_undone_leaves_a_later_import_alone(run: Run) -> None:
    code = """
        import sys
        from procession import compat
        compat.install()
        compat.uninstall()
        from multiprocessing.connection import Pipe
        print(Pipe.__module__, [finder for finder in sys.meta_path if "procession" in type(finder).__module__])
    """
    assert run(code, install=False) == "multiprocessing.connection []\n"


def test_the_standard_librarys_own_users_go_on(run: Run, method: str) -> None:
    code = """
        import multiprocessing, sys
        from concurrent.futures import ProcessPoolExecutor

        ctx = multiprocessing.get_context(sys.argv[1])
        with ProcessPoolExecutor(2, mp_context=ctx) as executor:
            futures = [executor.submit(abs, -n) for n in range(2000)]
            print(sum(future.result() for future in futures))
        with ctx.Pool(2) as pool:
            print(len(pool.map(bytes, [300_000] * 20)))
        with ctx.Manager() as manager:
            shared = manager.dict(a=1)
            print(shared.copy(), len(manager.list([bytes(500_000)])[0]))
    """
    assert run(code, method) == "1999000\n20\n{'a': 1} 500000\n"
