"""The table of waiting in docs/reference.md and the classes say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import procession
from procession.pool import future, results
from procession.process.waitable import Waitable
from procession.share import connection, queues
from procession.share.views import Joined, Space
from procession.sync.rwlock import Side

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
#: What a row's first cell names, if it is not a public name that makes one of its class.
CLASSES: dict[str, Any] = {
    "Process": procession.Process, "Future": future.Future, "AsyncResult": results.AsyncResult, "MapResult": results.MapResult,
    "RWLock.reading()": Side, "RWLock.writing()": Side, "Queue": queues.Queue, "JoinableQueue": queues.JoinableQueue,
    "SimpleQueue": queues.SimpleQueue, "Queue.space": Space, "JoinableQueue.space": Space, "JoinableQueue.joined": Joined,
    "Connection": connection.Connection, "Barrier": type(procession.Barrier(1)),
}  # fmt: skip
KEYWORDS = {"await": ["__await__"], "with": ["__enter__", "__exit__"], "async with": ["__aenter__", "__aexit__"]}
OF_THE_QUEUE = queues.JoinableQueue


def rows() -> dict[str, list[str]]:
    """A class -> the cells of its row that name forms."""
    section = re.search(r"^## Waiting$.*?^## ", REFERENCE.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    found: dict[str, list[str]] = {}
    for line in section[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 5:
            found.update(dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells[2:]))
    return found


def class_of(name: str) -> Any:
    return CLASSES.get(name) or type(getattr(procession, name)())


def test_nothing_that_can_be_waited_for_is_missing() -> None:
    documented = {class_of(name) for name in rows()}
    found, todo = set(), [Waitable]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if cls.__module__.startswith("procession.") and not cls.__subclasses__() and "_native" not in cls.__module__:
            found.add(cls)
    assert all(issubclass(cls, tuple(documented)) for cls in found)
    assert {procession.Process, future.Future, connection.Connection} <= documented


@pytest.mark.parametrize("name", rows())
def test_every_form_exists(name: str) -> None:
    cls = class_of(name)
    assert callable(cls.add_done_callback)
    for cell in rows()[name]:
        for form, of_the_queue in re.findall(r"`([\w ]+)(?:\([^`]*\))?`( of the queue)?", cell):
            holder = OF_THE_QUEUE if of_the_queue else cls
            for method in KEYWORDS.get(form, [form]):
                assert hasattr(holder, method), f"{holder.__name__}.{method}"
