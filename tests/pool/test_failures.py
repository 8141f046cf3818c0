"""The errors of pools: caught by the handlers that programs have, with their facts, and picklable."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import copy
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import procession
from procession import errors
from procession.pool import failures

SOURCE = Path(procession.__file__).parents[1]

pytestmark = pytest.mark.no_leak_guard

DIED = failures.WorkerDied(12, -11, peak_memory=3 << 30, oom=True, stack="deep", task="work", attempts=2)
LATE = errors.TaskTimeout(1.5, "work", "SIGKILL")
FAILED = failures.InitializerFailed("ValueError: no")
STOPPED = errors.TaskStopped("timeout")


@pytest.mark.parametrize("error", [DIED, LATE, FAILED, STOPPED], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_they_pickle_with_their_facts(error: BaseException, again: Any) -> None:
    other = again(error)
    assert type(other) is type(error)
    assert vars(other) == vars(error)
    assert (str(other), other.args) == (str(error), error.args)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (DIED, [concurrent.futures.process.BrokenProcessPool, concurrent.futures.BrokenExecutor, RuntimeError]),
        (FAILED, [concurrent.futures.process.BrokenProcessPool, RuntimeError]),
        (LATE, [TimeoutError, multiprocessing.TimeoutError, concurrent.futures.TimeoutError]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_handlers_that_programs_have_catch_them(error: Exception, bases: list[type[Exception]]) -> None:
    for base in [*bases, procession.ProcessionError, multiprocessing.ProcessError]:
        assert isinstance(error, base)


def test_what_ends_a_task_is_no_exception() -> None:
    assert not isinstance(STOPPED, Exception)
    assert errors.TaskStopped().reason == "cancelled"
    assert str(STOPPED) == "its time limit has passed"


def test_they_carry_their_facts() -> None:
    assert (DIED.pid, DIED.exitcode, DIED.signal, DIED.peak_memory) == (12, -11, "SIGSEGV", 3 << 30)
    assert (DIED.oom, DIED.stack, DIED.task, DIED.attempts) == (True, "deep", "work", 2)
    assert (LATE.timeout, LATE.task, LATE.stopped_by) == (1.5, "work", "SIGKILL")
    assert FAILED.reason == "ValueError: no"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (failures.WorkerDied(7, -9), "the worker (pid 7) was killed by SIGKILL"),
        (failures.WorkerDied(7, 3, task="f"), "the worker (pid 7) ended with exit code 3 while it ran f"),
        (failures.WorkerDied(), "a worker died"),
        (failures.WorkerDied(7, -63), "the worker (pid 7) was killed by signal 63"),
        (failures.WorkerDied(7, 0, attempts=5), "the worker (pid 7) ended with exit code 0, in the 5th attempt"),
        (errors.TaskTimeout(2), "the task was not done within 2 s and was stopped"),
        (LATE, "the task work was not done within 1.5 s and was stopped, with its worker, by SIGKILL"),
        (FAILED, "the initializer of the pool's workers failed: ValueError: no"),
    ],
    ids=str,
)
def test_they_say_what_happened(error: Exception, text: str) -> None:
    assert str(error) == text


def test_the_out_of_memory_killer_is_named() -> None:
    assert "killed by SIGSEGV while it ran work, in the second attempt. The kernel's out-of-memory killer" in str(DIED)
    assert str(DIED).endswith("up to 3.0 GiB")


@pytest.mark.parametrize("name", ["WorkerDied", "TaskTimeout", "InitializerFailed", "TaskStopped"])
def test_they_have_one_home_and_three_doors(name: str) -> None:
    assert getattr(procession, name) is getattr(errors, name) is getattr(failures, name)
    assert name in procession.__all__
    assert name in (errors.__doc__ or "")


def test_what_a_worker_needs_comes_without_concurrent_futures() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from procession import TaskStopped, TaskTimeout;"
        "print('concurrent.futures' in sys.modules, 'logging' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-E", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = errors.nonsense
