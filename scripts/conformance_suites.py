"""Which of CPython's own tests `scripts/conformance` runs: the parts, the suites made of them, the classes that are there."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

METHODS = ("fork", "spawn", "forkserver")
#: Processes, how they start, how they are waited for.
PROCESS_PART = (
    "_TestProcess", "_TestSubclassingProcess", "_TestLogging", "TestWait", "TestStartMethod", "TestCloseFds",
    "TestFlags", "TestNoForkBomb", "TestStdinBadfiledescriptor",
)  # fmt: skip
#: Locks, and what is made of them.
SYNC_PART = ("_TestLock", "_TestSemaphore", "_TestCondition", "_TestEvent", "_TestBarrier")
#: Messages, shared memory, managers.
SHARE_PART = (
    "_TestQueue", "TestSimpleQueue", "_TestConnection", "_TestListener", "_TestListenerClient", "_TestPoll",
    "_TestPollEintr", "_TestPicklingConnections", "_TestValue", "_TestArray", "_TestSharedCTypes", "_TestHeap",
    "_TestSharedMemory", "_TestContainers", "_TestMyManager", "_TestRemoteManager", "_TestManagerRestart",
    "TestSyncManagerTypes", "TestManagerExceptions",
)  # fmt: skip
#: Pools. To this part belong the tests of `concurrent.futures`, too.
POOL_PART = (
    "_TestPool", "_TestPoolWorkerErrors", "_TestPoolWorkerLifetime", "TestInitializers", "TestPoolNotLeakOnFailure",
)  # fmt: skip
#: What is run unless somebody chooses: the parts that are ours.
PARTS = {"process": PROCESS_PART, "sync": SYNC_PART, "share": SHARE_PART, "pool": POOL_PART}
#: A suite of its own, of the process part.
MAIN_HANDLING = {"fork": "ForkCmdLineTest", "spawn": "SpawnCmdLineTest", "forkserver": "ForkServerCmdLineTest"}
#: The tests of `concurrent.futures`: a package, one module before 3.11.6. Their classes say by which method they start.
FUTURES = "test.test_concurrent_futures"
#: Not run: threads that sleep for five minutes, which nobody can end, unless they are told before they have begun.
BY_CHANCE = ("_TestPool.test_terminate[threads]",) if sys.version_info < (3, 13) else ()
#: Their interpreters are launched with -S, where no installed package is in effect: these go through our launcher.
LAUNCHED = ("TestFlags",)

SUITE = """
from test import _test_multiprocessing
# What they preload in the fork server is the module that CPython's own runner makes of them: here it is this one.
_test_multiprocessing.PRELOAD[1:] = ["conformance_forkserver"]
_test_multiprocessing.install_tests_in_module_dict(globals(), {method!r})
"""
#: In front of the package `test`, where its tests of `concurrent.futures` come from elsewhere.
BORROWED = """
__path__.append({theirs!r})
"""


def write_suites(folder: Path, futures: Path | None) -> None:
    """Make the modules that are run, in a folder that is first on the path of the runs."""
    for method in METHODS:
        (folder / f"conformance_{method}.py").write_text(SUITE.format(method=method))
    if futures is not None:
        theirs = str(Path(sysconfig.get_path("stdlib")) / "test")
        (folder / "test").mkdir()
        (folder / "test" / "__init__.py").write_text(BORROWED.format(theirs=theirs))
        (folder / "test" / futures.name).symlink_to(futures.resolve())


def futures_suites(borrowed: Path | None) -> Iterator[str]:
    """The modules with tests of `concurrent.futures`; none where this Python came without them."""
    spec = find_spec(FUTURES) if borrowed is None else None
    place = borrowed or (Path(spec.origin) if spec is not None and spec.origin is not None else None)
    if place is None:
        return
    package = place.parent if place.name == "__init__.py" else place
    if package.is_dir():
        yield from (f"{FUTURES}.{path.stem}" for path in sorted(package.glob("test_*.py")))
    else:
        yield FUTURES


def chosen_classes(parts: list[str], everything: bool) -> list[str]:
    """Those of the parts, as far as this interpreter has them: some came with later versions."""
    here = every_class()
    return here if everything else [name for part in parts for name in PARTS[part] if name in here]


def every_class() -> list[str]:
    source = Path(find_spec("test._test_multiprocessing").origin).read_text()
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return [c.name for c in classes if any(isinstance(n, ast.FunctionDef) and n.name.startswith("test") for n in c.body)]
