"""Run some of CPython's own tests of `multiprocessing` in this process, and write down how each ended.

Started by ``scripts/conformance`` as ``python conformance_worker.py PLAN``, with PLAN the path of a JSON file:

    suite       name of the module whose tests are run
    method      start method: of the tests of `concurrent.futures`, which bring all methods, only those are run that use it
    classes     names of the test classes, as in CPython's source; empty: all
    pattern     only tests whose name matches (fnmatch)
    only        names of the tests to run; empty: all that match
    skip        test ids not to be run (they ended, or hung, in an earlier attempt)
    timeout     seconds for one test; when they are over the process ends, with all stacks on stderr
    hopeless    patterns of tests that are expected to fail, and some of them to hang: they get 10 seconds at most
    ours        whether `multiprocessing` has to be procession's
    launcher    for classes in `launched`: what to take for ``sys.executable``
    results     path of the file that gets one JSON object a line: {"test", "event": "start"} and
                {"test", "event": "end", "outcome": "pass" | "fail" | "skip", "detail"}
"""

from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    check_installed(plan["ours"])
    module = importlib.import_module(plan["suite"])
    tests = [test for test in each_test(unittest.defaultTestLoader.loadTestsFromModule(module)) if chosen(test, plan)]
    if plan["ours"] and any(class_name(test) in plan["launched"] for test in tests):
        sys.executable = plan["launcher"]
    with open(plan["results"], "a", encoding="utf-8") as file:
        unittest.TestSuite(tests).run(Recorder(file, plan["timeout"], plan["hopeless"]))
    sys.exit(0)


def check_installed(ours: bool) -> None:
    import multiprocessing

    found = any(cls.__module__.startswith("procession.") for cls in multiprocessing.Process.__mro__)
    if found != ours:
        sys.exit(f"multiprocessing is {'' if found else 'not '}procession's here")


def each_test(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each_test(item)
        else:
            yield item


def class_name(test: object) -> str:
    """The class's name in CPython's source: what is run is made from it, by `install_tests_in_module_dict`."""
    cls = type(test)
    made = cls.__module__.startswith("conformance_")
    if is_of_futures(test):  # made by `create_executor_tests`, of something that is no test yet and of an executor
        made = not issubclass(cls.__mro__[1], unittest.TestCase) and not cls.__mro__[1].__name__.startswith("ThreadPool")
    return cls.__mro__[1].__name__ if made else cls.__name__


def is_of_futures(test: object) -> bool:
    return type(test).__module__.startswith("test.test_concurrent_futures")


def method_of(test: unittest.TestCase) -> str:
    """Of a test of `concurrent.futures`: the start method of its executor. What has none is run along with fork."""
    in_name = test._testMethodName.removeprefix("test_")
    return getattr(test, "ctx", in_name if in_name in ("spawn", "forkserver") else "fork")


def test_id(test: Any) -> str:
    """ "Class.method", with the flavour in brackets where it is not processes."""
    if not isinstance(test, unittest.TestCase):
        return str(test)  # the set-up or tear-down of a module or class
    flavour = getattr(test, "TYPE", "processes")
    if is_of_futures(test) and any(base.__name__ == "ThreadPoolMixin" for base in type(test).__mro__):
        flavour = "threads"
    mark = "" if flavour == "processes" else f"[{flavour}]"
    return f"{class_name(test)}.{test._testMethodName}{mark}"


def chosen(test: unittest.TestCase, plan: dict[str, Any]) -> bool:
    name = test_id(test)
    if plan["classes"] and class_name(test) not in plan["classes"]:
        return False
    if is_of_futures(test) and method_of(test) != plan["method"]:
        return False
    wanted = name in plan["only"] if plan["only"] else fnmatch.fnmatch(name, plan["pattern"])
    return wanted and name not in plan["skip"]


class Recorder(unittest.TestResult):
    """Writes each event at once, so that what was learnt survives a hang or a crash."""

    def __init__(self, file: Any, timeout: float, hopeless: list[str]) -> None:
        super().__init__()
        self._file = file
        self._timeout = timeout
        self._hopeless = hopeless
        self._said: set[str] = set()

    def _write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def _end(self, test: Any, outcome: str, detail: str = "") -> None:
        name = test_id(test)
        if name not in self._said:  # the first word about a test is kept: a failed subtest, a failed clean-up
            self._said.add(name)
            self._write(test=name, event="end", outcome=outcome, detail=detail)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._write(test=test_id(test), event="start")
        hopeless = any(fnmatch.fnmatch(test_id(test), pattern) for pattern in self._hopeless)
        faulthandler.dump_traceback_later(min(self._timeout, 10) if hopeless else self._timeout, exit=True)

    def stopTest(self, test: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)

    def addSuccess(self, test: Any) -> None:
        self._end(test, "pass")

    def addSkip(self, test: Any, reason: str) -> None:
        self._end(test, "skip", reason)

    def addFailure(self, test: Any, err: Any) -> None:
        self._end(test, "fail", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._end(test, "fail", self._exc_info_to_string(err, test))

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._end(test, "pass")

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._end(test, "fail", "unexpected success")


if __name__ == "__main__":
    main()
