"""What workers log and warn of comes out in the parent."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procession.pool import relay

Work = Callable[[], object]


@pytest.fixture
def relayed(ctx: Any, ask: Callable[..., Any]) -> Callable[..., list[Any]]:
    """``relayed(work)``: what a worker sends while it does that."""

    def relayed(work: Work, level: int = logging.DEBUG) -> list[Any]:
        def job() -> list[Any]:
            from procession.pool import relay

            items: list[Any] = []
            relay.install(items.append, level)
            work()
            return items

        found: list[Any] = ask(ctx, job, name="Worker-7")
        return found

    return relayed


@pytest.fixture
def restored() -> Iterator[None]:
    """For tests that install in this process."""
    root, shown = logging.root, warnings.showwarning
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.showwarning = shown


def as_logged(item: Any) -> logging.LogRecord:
    return logging.makeLogRecord(item[1])


def log_something() -> None:
    import logging

    logging.getLogger("app.part").info("%d of %s", 3, ["four"], extra={"job": 5, "odd": {1}})


def fail() -> None:
    import logging

    try:
        raise ValueError("deep inside")
    except ValueError:
        logging.exception("it failed", stack_info=True)


def test_a_record_arrives_as_it_was_made(relayed: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (item,) = relayed(log_something)
    relay.deliver(item)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("app.part", "INFO", "3 of ['four']")
    assert record.processName == "Worker-7"
    assert record.process == item[1]["process"]
    assert (record.job, record.odd) == (5, "{1}")  # type: ignore[attr-defined]
    assert record.funcName == "log_something"


def test_a_traceback_arrives_as_text(relayed: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture) -> None:
    (item,) = relayed(fail)
    relay.deliver(item)
    assert "ValueError: deep inside" in caplog.text
    assert "Stack (most recent call last)" in caplog.text
    assert caplog.records[0].exc_info is None


def test_what_travels_is_plain(relayed: Callable[..., list[Any]]) -> None:
    import marshal

    for work in (log_something, fail):
        for item in relayed(work):
            assert marshal.loads(marshal.dumps(item)) == item


def test_the_worker_sends_no_less_than_the_level(relayed: Callable[..., list[Any]]) -> None:
    assert relayed(log_something, logging.WARNING) == []


def test_the_parent_s_levels_and_filters_count(relayed: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture) -> None:
    (item,) = relayed(log_something)
    caplog.set_level(logging.ERROR, "app.part")
    relay.deliver(item)
    assert caplog.records == []


def test_inherited_handlers_go_and_later_ones_stay(ask: Callable[..., Any]) -> None:
    import procession

    def job() -> Any:
        import logging

        from procession.pool import relay

        items: list[Any] = []
        relay.install(items.append, logging.INFO)
        seen: list[str] = []

        class Mine(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.getMessage())

        logging.root.addHandler(Mine())
        logging.getLogger("own").info("own")
        logging.getLogger("apart").info("apart")
        return [item[1]["msg"] for item in items], seen, inherited

    inherited: list[str] = []

    class Inherited(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            inherited.append(record.getMessage())

    handler = Inherited()
    loggers = [logging.root, logging.getLogger("own"), logging.getLogger("apart")]
    loggers[2].propagate = False
    for logger in loggers:
        logger.addHandler(handler)
    try:
        assert ask(procession.get_context("fork"), job) == (["own", "apart"], ["own"], [])
    finally:
        loggers[2].propagate = True
        for logger in loggers:
            logger.removeHandler(handler)


@pytest.mark.usefixtures("restored")
def test_a_send_that_fails_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def send(item: Any) -> None:
        raise OSError("gone")

    relay.install(send, logging.DEBUG)
    logging.getLogger("app").error("look here")
    logging.getLogger("app").debug("not worth it")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        relay.install(send, logging.DEBUG)
        warnings.warn("and here", UserWarning, stacklevel=1)
    assert [str(each.message) for each in seen] == ["and here"]
    assert capsys.readouterr().err == "look here\n"


@pytest.mark.usefixtures("restored")
def test_a_send_that_logs_and_warns_does_not_recurse() -> None:
    items: list[Any] = []

    def send(item: Any) -> None:
        logging.getLogger("inner").error("sending")
        warnings.warn("sending", UserWarning, stacklevel=1)
        items.append(item)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        relay.install(send, logging.DEBUG)
        logging.getLogger("app").error("once")
        warnings.warn("twice", UserWarning, stacklevel=1)
    assert [item[1]["msg"] if item[0] == "log" else item[2] for item in items] == ["once", "twice"]


@pytest.mark.usefixtures("restored")
def test_what_stops_a_task_passes() -> None:
    from procession import TaskStopped

    def send(item: Any) -> None:
        raise TaskStopped("timeout")

    relay.install(send, logging.DEBUG)
    with pytest.raises(TaskStopped):
        logging.getLogger("app").error("hello")


@pytest.mark.usefixtures("restored")
def test_a_message_that_does_not_fit_is_logging_s_business(capsys: pytest.CaptureFixture[str]) -> None:
    relay.install(lambda item: None, logging.DEBUG)
    logging.getLogger("app").error("%d", "three")
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_handler_that_raises_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Bad(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("broken handler")

    logger = logging.getLogger("app.bad")
    bad = Bad()
    logger.addHandler(bad)
    try:
        relay.deliver(("log", {"name": "app.bad", "levelno": logging.ERROR, "msg": "x"}))
    finally:
        logger.removeHandler(bad)
    assert "broken handler" in capsys.readouterr().err


# --- warnings ---


class OddWarning(UserWarning):
    """One that says something else than it was given."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


def warn_three_times() -> None:
    import warnings

    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", "quiet")
    for _ in range(2):
        warnings.warn("loud", DeprecationWarning, stacklevel=1)
    warnings.warn("quiet", UserWarning, stacklevel=1)


def test_warnings_pass_the_filters_of_both(relayed: Callable[..., list[Any]]) -> None:
    items = relayed(warn_three_times)
    assert [item[2] for item in items] == ["loud", "loud"]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for item in items:
            relay.deliver(item)
        assert [(each.category, str(each.message), each.filename) for each in seen] == [
            (DeprecationWarning, "loud", items[0][3])
        ]
        warnings.simplefilter("ignore")
        relay.deliver(items[0])
        assert len(seen) == 1


def warning_item(kind: type[Warning], text: str, file: str = "/nowhere/module.py") -> Any:
    kinds = tuple((each.__module__, each.__qualname__) for each in kind.__mro__ if issubclass(each, Warning))
    return "warning", kinds, text, file, 3


def test_a_warning_that_cannot_be_made_again_is_its_base_s() -> None:
    class Local(ImportWarning):
        pass

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        relay.deliver(warning_item(OddWarning, str(OddWarning(3))))
        relay.deliver(warning_item(Local, "made in the worker"))
    assert [(each.category, str(each.message)) for each in seen] == [
        (UserWarning, "code 3"),
        (ImportWarning, "made in the worker"),
    ]


def test_an_error_by_the_filters_is_shown() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        relay.deliver(warning_item(UserWarning, "nobody to raise to"))
    assert [str(each.message) for each in seen] == ["nobody to raise to"]


def test_a_warning_counts_for_the_module_of_its_file() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module=__name__.replace(".", r"\."))
        relay.deliver(warning_item(UserWarning, "ours", __file__))
        relay.deliver(warning_item(UserWarning, "not ours"))
    assert [str(each.message) for each in seen] == ["ours"]


# --- the level ---


def test_the_level_is_the_root_s(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.ERROR)
    assert relay.level_here() == logging.ERROR
    monkeypatch.delitem(sys.modules, "logging")
    assert relay.level_here() is None
    assert "logging" not in sys.modules
