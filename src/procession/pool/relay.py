"""Log records and warnings of workers reach the parent's logging.

In a worker one handler on the root logger, and one on each logger that does not propagate and had handlers, sends every record;
in the parent `deliver` gives it to the logger of the same name, as if it had been logged there. Warnings go the same way, from
the worker's filters to the parent's. What travels is plain (strings and numbers), whatever was logged.
"""

from __future__ import annotations

import copy
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import logging

__all__ = ["deliver", "install", "level_here"]

Send = Callable[[tuple[Any, ...]], object]
#: What can be sent as it is; anything else that a program hangs on its records goes as its `repr`.
_PLAIN = (str, int, float, bool, bytes, type(None))


def level_here() -> int | None:
    """The root logger's level; None if nobody here has imported `logging`, so that nothing need be relayed. Does not block."""
    logging = sys.modules.get("logging")
    root = getattr(logging, "root", None)
    return None if root is None else int(root.level)


# --- in a worker ---


def install(send: Send, level: int) -> None:
    """From now on what is logged here, at the root logger's new `level` or above, and warnings that the filters let pass, go to
    ``send(item)``, which must not block for long; the parent gives the item to `deliver`.

    Handlers that were inherited are taken off, as the parent has them too. (Those of the logger "multiprocessing" stay:
    processes log there for themselves.) What the program adds later stays. If `send` raises an Exception, a warning, or a
    record of that level or above, is printed on standard error instead; nothing is raised. What `send` itself logs, or warns
    of, is dropped.
    """
    import logging

    channel = _Channel(send)
    handler = _handler(channel)
    root = logging.root
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.handlers and name != "multiprocessing":
            logger.handlers[:] = [] if logger.propagate else [handler]
    warnings.showwarning = _shower(channel, _printer())


class _Channel:
    """The way out, which is never taken from within itself."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = threading.local()

    def put(self, item: tuple[Any, ...]) -> bool:
        """Whether there is no more to be done about it."""
        if getattr(self._sending, "now", False):
            return True
        self._sending.now = True
        try:
            self._send(item)
        except Exception:
            return False
        finally:
            self._sending.now = False
        return True


def _handler(channel: _Channel) -> logging.Handler:
    import logging

    class Relay(logging.Handler):
        """Sends each record to the parent."""

        def emit(self, record: logging.LogRecord) -> None:
            try:
                item = ("log", _plain(record))
                if not channel.put(item) and logging.lastResort and record.levelno >= logging.lastResort.level:
                    logging.lastResort.handle(record)
            except Exception:
                self.handleError(record)  # (the message and its arguments do not fit: `logging` prints that)

    return Relay()


def _plain(record: logging.LogRecord) -> dict[str, Any]:
    """The record's attributes, with its message made and its traceback written down."""
    import logging

    record = copy.copy(record)
    record.msg = record.message = record.getMessage()
    record.args = None
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    record.exc_info = None
    return {str(name): value if type(value) in _PLAIN else _text(value) for name, value in vars(record).items()}


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _printer() -> Callable[..., None]:
    """What shows a warning here without us."""
    return getattr(warnings, "_showwarning_orig", warnings.showwarning)


def _shower(channel: _Channel, show: Callable[..., None]) -> Callable[..., None]:
    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        kinds = tuple((kind.__module__, kind.__qualname__) for kind in category.__mro__ if issubclass(kind, Warning))
        item = ("warning", kinds, _message(message), str(filename), int(lineno))
        if file is not None or not channel.put(item):
            show(message, category, filename, lineno, file, line)

    return showwarning


def _message(warning: Warning | str) -> str:
    try:
        return str(warning)
    except Exception:
        return f"<{type(warning).__name__}>"


# --- in the parent ---


def deliver(item: tuple[Any, ...]) -> None:
    """What a worker sent: log the record here, if its logger is enabled for its level, or warn, as this process's filters say.

    Raises nothing: an error of a handler is printed on standard error, and a warning that the filters turn into an error is
    shown, as there is nobody to raise it to. Takes as long as the handlers do.
    """
    try:
        if item[0] == "log":
            _log(item[1])
        else:
            _warn(*item[1:])
    except Exception:
        _report()


def _log(attributes: dict[str, Any]) -> None:
    import logging

    record = logging.makeLogRecord(attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _warn(kinds: tuple[tuple[str, str], ...], text: str, filename: str, lineno: int) -> None:
    warning = next(_instances(kinds, text))
    module, registry = _place(filename)
    try:
        warnings.warn_explicit(warning, type(warning), filename, lineno, module, registry)
    except Warning as error:
        if error is not warning:
            raise
        warnings.showwarning(warning, type(warning), filename, lineno)


def _instances(kinds: tuple[tuple[str, str], ...], text: str) -> Iterator[Warning]:
    """The warning as the first of its classes that is known here (nothing is imported for it) and that can say `text`."""
    for module, qualname in (*kinds, ("builtins", "Warning")):
        found: Any = sys.modules.get("__main__" if module == "__mp_main__" else module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or not issubclass(found, Warning):
            continue
        try:
            warning = found.__new__(found)
            warning.args = (text,)
        except Exception:
            continue
        if _message(warning) == text:
            yield warning


_registries: dict[str, dict[Any, Any]] = {}  # of files that are no module of ours


def _place(filename: str) -> tuple[str, dict[Any, Any]]:
    """The module of that file here (by name, for the filters), and its registry of warnings shown: one that was shown for it
    here is not shown again."""
    for name, module in list(sys.modules.items()):
        facts = getattr(module, "__dict__", {})
        if facts.get("__file__") == filename:
            return name, facts.setdefault("__warningregistry__", {})
    return filename.removesuffix(".py"), _registries.setdefault(filename, {})


def _report() -> None:
    try:
        sys.stderr.write("exception while a worker's message was logged:\n" + traceback.format_exc())
    except Exception:
        pass  # (there is no standard error to print on)
