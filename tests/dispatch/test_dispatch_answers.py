"""How answers are read in a worker: by whoever waits, one at a time, and nobody is left asleep."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from gates import LIMIT

from procession.core import codec
from procession.dispatch import link as links
from procession.dispatch.guests import Ask, Reply
from procession.dispatch.link import FarFuture, Link
from procession.process.watch import Watch
from procession.testing.watch import eventually


class _Results:
    """Where requests go; `refuse`: there is no room."""

    refuse = False

    def _put_task(self, *request: Any) -> None:
        if self.refuse:
            raise MemoryError


@pytest.fixture(autouse=True)
def no_task_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "waiter", lambda: 0)


def a_link(results: Any = None) -> Link:
    return Link(SimpleNamespace(results=results or _Results(), id=1))


def asked(link: Link) -> FarFuture:
    future = FarFuture(link)
    link.call(future, Ask.CALL)
    return future


def answer(link: Link, future: FarFuture, value: Any) -> None:
    link._replies._put_task(future.call, 1, codec.dumps(value, whole=True)[0])


def test_who_looks_wakes_those_who_slept_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """(He leads while he looks; who comes then sleeps, and nobody else would read.)"""
    link = a_link()
    future, found = asked(link), []
    reader = threading.Thread(target=lambda: found.append(future.result()), daemon=True)
    take = link._take

    def slowly(left: float | None) -> None:
        if not reader.is_alive():
            reader.start()
            eventually(lambda: link._came._waiters)  # type: ignore[attr-defined]
        take(left)

    with monkeypatch.context() as slow:
        slow.setattr(link, "_take", slowly)
        link.look()
    answer(link, future, 1)
    reader.join(LIMIT)
    assert found == [1]


def test_a_callback_may_wait_for_another_answer() -> None:
    link = a_link()
    first, second = asked(link), asked(link)
    came, found = threading.Event(), []

    def call_back(_: Any) -> None:
        found.extend((second.result(LIMIT), threading.current_thread().name))
        came.set()

    links.Future.add_done_callback(first, call_back)  # (so that no thread reads)
    answer(link, first, 1)
    answer(link, second, 2)
    assert first.result(LIMIT) == 1
    assert came.wait(LIMIT)
    assert found == [2, "procession-callers"]


def test_what_was_read_before_an_interrupt_is_handed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    link = a_link()
    first, second = asked(link), asked(link)
    answer(link, first, 1)
    answer(link, second, 2)
    take = FarFuture.take

    def interrupted(future: FarFuture, *what: Any) -> None:
        monkeypatch.setattr(FarFuture, "take", take)
        raise KeyboardInterrupt

    monkeypatch.setattr(FarFuture, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        first.result(LIMIT)
    given: list[Any] = []
    with monkeypatch.context() as spied:
        spied.setattr(link, "_replies", SimpleNamespace(_get_tasks=lambda most, left, into: given.append(left)))
        link._take(None)
    assert given == [0]
    assert (first.result(0), second.result(0)) == (1, 2)


def test_a_request_for_which_there_is_no_room_is_forgotten() -> None:
    results = _Results()
    link = a_link(results)
    results.refuse = True
    with pytest.raises(MemoryError):
        asked(link)
    results.refuse = False
    assert not link._open
    done = asked(link)
    link._replies._put_task(done.call, Reply.DONE, None)
    assert done.result(LIMIT) is None


def test_a_watch_that_is_found_dead_waits_for_no_lock() -> None:
    link = a_link()
    future = asked(link)
    watch = Watch([future])
    finalizer = threading.Thread(target=watch.abandon, daemon=True)
    with future._telling:
        finalizer.start()
        finalizer.join(5)
        waits = finalizer.is_alive()
    answer(link, future, 1)
    assert future.result(LIMIT) == 1
    eventually(lambda: not link._listens)
    assert not waits
