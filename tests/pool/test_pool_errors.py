"""What goes wrong in a task, as its caller sees it."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.pool import MaybeEncodingError
from typing import Any

import pytest

from procession import WorkerDied
from procession.pool.engine import Engine
from procession.pool.executor import ProcessPoolExecutor
from procession.testing import saboteurs
from procession.testing.saboteurs import Unpicklable, UnpicklableInChild

LIMIT = 20.0


class Odd(Exception):
    """Whose constructor takes other arguments than it keeps."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code}: {why}")


class Detailed(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.more = {"detail": detail}


class Held(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


def throw(error: type[BaseException], *args: Any, **options: Any) -> None:
    raise error(*args, **options)


def inner() -> None:
    raise ValueError("deep inside")


def outer() -> None:
    try:
        inner()
    except ValueError as error:
        raise KeyError("on top") from error


def test_the_remote_traceback_is_the_cause(executor: ProcessPoolExecutor, pool: Any) -> None:
    for call in (
        lambda: executor.submit(outer).result(LIMIT),
        lambda: pool.apply(outer),
        lambda: pool.map(lambda _: outer(), [1]),
    ):
        with pytest.raises(KeyError, match="on top") as caught:
            call()
        text = str(caught.value.__cause__)
        assert type(caught.value.__cause__).__name__.lstrip("_") == "RemoteTraceback"
        assert "in inner" in text
        assert "deep inside" in text
        assert "direct cause" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
def test_what_is_no_exception_comes_back_as_well(executor: ProcessPoolExecutor, pool: Any, error: type[BaseException]) -> None:
    with pytest.raises(error):
        executor.submit(throw, error).result(LIMIT)
    with pytest.raises(error):
        pool.apply_async(throw, (error,)).get(LIMIT)
    assert executor.submit(abs, -1).result(LIMIT) == pool.apply(abs, (-1,)) == 1


def test_facts_of_an_error_come_along(executor: ProcessPoolExecutor) -> None:
    with pytest.raises(Detailed) as caught:
        executor.submit(throw, Detailed, 5, "broken").result(LIMIT)
    assert (caught.value.args, caught.value.more) == ((5, "broken"), {"detail": "broken"})


def test_an_error_that_does_not_come_back_says_what_it_was(executor: ProcessPoolExecutor, pool: Any) -> None:
    """Its constructor wants what the pickle does not have."""
    for call in (
        lambda: executor.submit(throw, Odd, 5, why="so").result(LIMIT),
        lambda: pool.apply(throw, (Odd, 5), {"why": "so"}),
    ):
        with pytest.raises(TypeError, match="why") as caught:
            call()
        assert "Odd: 5: so" in str(caught.value.__cause__)
    assert executor.submit(abs, -1).result(LIMIT) == 1


def test_an_error_that_cannot_be_pickled_says_what_it_was(executor: ProcessPoolExecutor) -> None:
    with pytest.raises(Exception, match="holds a lock") as caught:
        executor.submit(throw, Held).result(LIMIT)
    assert "Held: holds a lock" in str(caught.value)
    assert "in throw" in str(caught.value.__cause__)


def test_arguments_that_cannot_be_pickled(executor: ProcessPoolExecutor, pool: Any) -> None:
    future = executor.submit(abs, Unpicklable())
    with pytest.raises(TypeError, match="does not pickle"):
        future.result(LIMIT)
    result = pool.apply_async(abs, (Unpicklable(RuntimeError),))
    with pytest.raises(RuntimeError, match="does not pickle"):
        result.get(LIMIT)
    assert executor.submit(abs, -1).result(LIMIT) == pool.apply(abs, (-1,)) == 1


def test_arguments_that_cannot_be_unpickled(executor: ProcessPoolExecutor, pool: Any) -> None:
    with pytest.raises(ValueError, match="does not unpickle"):
        executor.submit(type, UnpicklableInChild()).result(LIMIT)
    with pytest.raises(ValueError, match="does not unpickle"):
        pool.map(type, [UnpicklableInChild()])
    assert executor.submit(abs, -1).result(LIMIT) == pool.apply(abs, (-1,)) == 1


def test_results_that_cannot_be_pickled(executor: ProcessPoolExecutor, pool: Any) -> None:
    with pytest.raises(TypeError, match="does not pickle"):
        executor.submit(Unpicklable).result(LIMIT)
    with pytest.raises(MaybeEncodingError, match="Unpicklable") as caught:
        pool.apply(Unpicklable)
    assert "does not pickle" in str(caught.value)
    assert executor.submit(abs, -1).result(LIMIT) == pool.apply(abs, (-1,)) == 1


def test_results_that_cannot_be_unpickled(executor: ProcessPoolExecutor, pool: Any) -> None:
    future = executor.submit(UnpicklableInChild)
    for _ in range(2):
        with pytest.raises(ValueError, match="does not unpickle"):
            future.result(LIMIT)
    with pytest.raises(ValueError, match="does not unpickle"):
        pool.apply(UnpicklableInChild)
    told = threading.Event()
    failed: list[Any] = []
    pool.apply_async(UnpicklableInChild, (), {}, failed.append, lambda error: (failed.append(error), told.set()))
    assert told.wait(LIMIT)
    assert [type(error) for error in failed] == [ValueError]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ((saboteurs.exit_at_once, 3), "ended with exit code 3 while it ran exit_at_once"),
        ((saboteurs.kill_self, 9), "was killed by SIGKILL while it ran kill_self"),
        ((saboteurs.crash_hard,), "was killed by SIGSEGV while it ran crash_hard"),
    ],
    ids=["exit", "kill", "crash"],
)
def test_deaths_are_told(executor: ProcessPoolExecutor, pool: Any, end: Any, text: str) -> None:
    future = executor.submit(*end)
    with pytest.raises(WorkerDied, match=text) as caught:
        future.result(LIMIT)
    assert isinstance(caught.value, BrokenProcessPool)
    assert vars(pickle.loads(pickle.dumps(caught.value))) == vars(caught.value)
    with pytest.raises(WorkerDied, match=text):
        pool.apply(end[0], end[1:])
    assert executor.submit(abs, -1).result(LIMIT) == pool.apply(abs, (-1,)) == 1


def test_a_crash_comes_with_its_stack(executor: ProcessPoolExecutor) -> None:
    error = executor.submit(saboteurs.crash_hard).exception(LIMIT)
    assert isinstance(error, WorkerDied)
    assert "crash_hard" in (error.stack or "")


def test_a_submit_that_was_interrupted_keeps_no_pool_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task was there, and no worker for it."""
    made = ProcessPoolExecutor(1)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_see_to_workers", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            made.submit(abs, -1)
    made.shutdown(wait=False)
    assert made._engine.join(LIMIT)


def _interrupt(engine: Engine) -> None:
    raise KeyboardInterrupt
