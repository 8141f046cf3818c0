"""RWLock."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from actors import Runner, timed, wait_for_waiters

from procession import RWLock, _native


def test_readers_share(actor: Any) -> None:
    lock, other = RWLock(), actor()
    assert lock.acquire_read() is True
    assert other(lock.acquire_read)
    assert lock.acquire_write(False) is False
    assert other(lock.acquire_write, False) is False
    assert lock.release_read() is None
    assert not lock.acquire_write(False)
    other(lock.release_read)
    assert lock.acquire_write(False) is True
    lock.release_write()


def test_a_writer_is_alone(actor: Any) -> None:
    lock, other = RWLock(), actor()
    assert lock.acquire_write()
    for take in (lock.acquire_read, lock.acquire_write):
        assert not other(take, False)
        assert not Runner(take, False).end()
    lock.release_write()
    assert other(lock.acquire_write, False)


def test_blocks(actor: Any) -> None:
    lock, other = RWLock(), actor()
    with lock.reading() as entered:
        assert entered is True
        assert len(lock.readers) == 1
    with lock.writing():
        assert not other(lock.acquire_read, False)
    with pytest.raises(ZeroDivisionError):
        with lock.writing():
            raise ZeroDivisionError
    assert other(lock.acquire_write, False)


def test_who_does_not_hold_cannot_give(actor: Any) -> None:
    lock, other = RWLock(), actor()
    with pytest.raises(ValueError, match="this process is not reading"):
        lock.release_read()
    with pytest.raises(ValueError, match="this process is not writing"):
        lock.release_write()
    with lock.reading():
        with pytest.raises(ValueError, match="not writing"):
            lock.release_write()
        with pytest.raises(ValueError, match="not reading"):
            other(lock.release_read)
    with lock.writing():
        with pytest.raises(ValueError, match="not reading"):
            lock.release_read()
        with pytest.raises(ValueError, match="not writing"):
            other(lock.release_write)


@pytest.mark.parametrize("timeout", [-1, 0, 0.1])
def test_time_outs(timeout: float) -> None:
    lock = RWLock()
    with lock.reading():
        result, took = timed(lock.acquire_write, True, timeout)
        assert result is False
        assert max(timeout, 0) <= took < max(timeout, 0) + 1
        assert lock.acquire_read(False), "a writer that gave up keeps nobody waiting"
        lock.release_read()
    with lock.writing():
        assert Runner(timed, lock.acquire_read, True, timeout).end()[0] is False
    for take in (lock.acquire_read, lock.acquire_write):
        with pytest.raises(TypeError):
            take(timeout="a")
        with pytest.raises(ValueError, match="NaN"):
            take(timeout=float("nan"))


def test_a_reader_that_comes_later_waits_behind_a_writer(actor: Any) -> None:
    lock, writer, reader = RWLock(), actor(), actor()
    lock.acquire_read()
    writer.begin(lock.acquire_write)
    wait_for_waiters(lock, 1)
    assert not lock.acquire_read(False)
    reader.begin(lock.acquire_read)
    wait_for_waiters(lock, 2)
    assert [w.pid for w in lock.waiters] == [writer.process.pid, reader.process.pid]
    lock.release_read()
    assert writer.end()
    assert reader.busy()
    writer(lock.release_write)
    assert reader.end()
    reader(lock.release_read)


def test_readers_that_wait_behind_a_writer_that_gives_up_go_on(actor: Any) -> None:
    lock, writer, reader = RWLock(), actor(), actor()
    lock.acquire_read()
    writer.begin(lock.acquire_write, True, 0.3)
    wait_for_waiters(lock, 1)
    reader.begin(lock.acquire_read)
    wait_for_waiters(lock, 2)
    assert writer.end() is False
    assert reader.end(5) is True
    lock.release_read()
    reader(lock.release_read)


def test_who_reads_and_who_writes(actor: Any) -> None:
    lock, other = RWLock(), actor(name="librarian")
    assert (lock.readers, lock.writer) == ((), None)
    assert repr(lock) == "<RWLock(0 reading, 0 waiting)>"
    other(lock.acquire_read)
    other(lock.acquire_read)
    lock.acquire_read()
    assert {(r.process, r.pid) for r in lock.readers} == {("librarian", other.process.pid), ("MainProcess", os.getpid())}
    assert repr(lock) == "<RWLock(2 reading, 0 waiting)>"
    for _ in range(2):
        other(lock.release_read)
    lock.release_read()
    other(lock.acquire_write)
    assert lock.readers == ()
    assert lock.writer[:2] == ("librarian", other.process.pid)
    assert repr(lock) == "<RWLock(written by librarian, 0 waiting)>"


def test_a_reader_never_sees_half_a_change(actor: Any, numbers: Any) -> None:
    lock, pair = RWLock(), numbers(2)
    others = [actor() for _ in range(3)]

    def write() -> None:
        for _ in range(200):
            with lock.writing():
                pair[0] += 1
                pair[1] += 1

    def read() -> bool:
        good = True
        for _ in range(200):
            with lock.reading():
                good = good and pair[0] == pair[1]
        return good

    others[0].begin(write)
    others[1].begin(write)
    others[2].begin(read)
    assert read()
    assert others[2].end()
    others[0].end()
    others[1].end()
    assert (pair[0], pair[1]) == (400, 400)


def test_lifetime() -> None:
    gc.collect()
    before = _native.cells_in_use()
    for _ in range(500):
        lock = RWLock()
        with lock.reading():
            pass
        with lock.writing():
            pass
    del lock
    gc.collect()
    assert _native.cells_in_use() <= before
