"""What workers log, and warn of, reaches the parent's logging."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import procession
from procession.pool.executor import ProcessPoolExecutor
from procession.testing.watch import eventually

LIMIT = 20.0

Make = Callable[..., ProcessPoolExecutor]


def log(level: int, text: str, *args: Any, name: str = "of.a.worker") -> None:
    import logging

    logging.getLogger(name).log(level, text, *args)


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_records_arrive(executors: Make, caplog: Any, method: str) -> None:
    executor = executors(1, procession.get_context(method))
    executor.submit(log, logging.WARNING, "number %d", 5).result(LIMIT)
    executor.shutdown()
    (record,) = [record for record in caplog.records if record.name == "of.a.worker"]
    assert (record.getMessage(), record.levelname) == ("number 5", "WARNING")
    assert record.processName == "ProcessPoolExecutor-worker-1"


def test_they_come_in_order(executors: Make, caplog: Any) -> None:
    executor = executors(1)
    for number in range(100):
        executor.submit(log, logging.WARNING, "%d", number)
    executor.shutdown()
    assert [int(record.getMessage()) for record in caplog.records if record.name == "of.a.worker"] == list(range(100))


def test_the_level_is_the_parents(executors: Make, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        executor = executors(1)
        executor.submit(log, logging.DEBUG, "too low").result(LIMIT)
        executor.submit(log, logging.INFO, "just right").result(LIMIT)
        executor.shutdown()
    assert [record.getMessage() for record in caplog.records if record.name == "of.a.worker"] == ["just right"]


def test_filters_of_the_parents_loggers_are_asked(executors: Make, caplog: Any) -> None:
    logger = logging.getLogger("of.a.quiet.worker")
    logger.setLevel(logging.ERROR)
    executor = executors(1)
    executor.submit(log, logging.WARNING, "hushed", name="of.a.quiet.worker").result(LIMIT)
    executor.submit(log, logging.ERROR, "heard", name="of.a.quiet.worker").result(LIMIT)
    executor.shutdown()
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == ["heard"]


def test_tracebacks_arrive(executors: Make, caplog: Any) -> None:
    def fail() -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger("of.a.worker").exception("it happened")

    executor = executors(1)
    executor.submit(fail).result(LIMIT)
    executor.shutdown()
    assert "it happened" in caplog.text
    assert "KeyError: 'lost'" in caplog.text
    assert "in fail" in caplog.text


def test_what_cannot_be_pickled_can_be_logged(executors: Make, caplog: Any) -> None:
    executor = executors(1)
    executor.submit(lambda: log(logging.WARNING, "a %s", threading.Lock())).result(LIMIT)
    executor.shutdown()
    assert "a <unlocked _thread.lock" in caplog.text


def test_warnings_arrive(executors: Make) -> None:
    def warn() -> None:
        import warnings

        warnings.simplefilter("always")
        warnings.warn("mind the step", UserWarning, stacklevel=1)

    executor = executors(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executor.submit(warn).result(LIMIT)
        eventually(lambda: any("mind the step" in str(warning.message) for warning in caught))
        executor.shutdown()


def test_the_initializer_may_log(executors: Make, caplog: Any) -> None:
    executor = executors(1, None, log, (logging.WARNING, "beginning"))
    executor.submit(abs, -1).result(LIMIT)
    executor.shutdown()
    assert "beginning" in caplog.text


def test_an_initializer_that_fails_is_logged_as_in_the_standard_library(executors: Make, caplog: Any) -> None:
    executor = executors(1, None, divmod, (1, 0))
    with pytest.raises(procession.InitializerFailed):
        executor.submit(abs, -1).result(LIMIT)
    executor.shutdown()
    eventually(lambda: "Exception in initializer" in caplog.text)


def test_threads_of_a_worker_log_too(executors: Make, caplog: Any) -> None:
    def start() -> None:
        threads = [threading.Thread(target=log, args=(logging.WARNING, "from a thread")) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    executor = executors(1)
    executor.submit(start).result(LIMIT)
    executor.shutdown()
    assert caplog.text.count("from a thread") == 3


def test_a_pools_workers_log(pools: Any, caplog: Any) -> None:
    pool = pools(2)
    pool.map(lambda number: log(logging.WARNING, "item %d", number), range(10))
    pool.close()
    pool.join()
    found = [record.getMessage() for record in caplog.records if record.name == "of.a.worker"]
    assert sorted(found) == [f"item {number}" for number in range(10)]
