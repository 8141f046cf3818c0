"""Sent to processes that run already; what another family sends is refused."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import pytest
from actors import Runner, keep, kept, wait_for_waiters

import procession
from procession import Barrier, BoundedSemaphore, Condition, Event, FamilyError, Lock, RLock, RWLock, Semaphore

KINDS = {
    "Lock": Lock, "RLock": RLock, "Semaphore": Semaphore, "robust": lambda: Semaphore(robust=True),
    "BoundedSemaphore": BoundedSemaphore, "Condition": Condition, "Event": Event, "Barrier": lambda: Barrier(2),
    "RWLock": RWLock,
}  # fmt: skip
ALL = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def act(thing: Any) -> None:
    """In the process that got it: something that the sender can see."""
    if hasattr(thing, "set"):
        thing.set()
    elif hasattr(thing, "abort"):
        thing.abort()
    else:
        assert take(thing)


def take(thing: Any) -> bool:
    return bool(thing.acquire_write(False) if hasattr(thing, "acquire_write") else thing.acquire(False))


def is_acted(thing: Any) -> bool:
    """Whether `act` had an effect that is seen here."""
    if hasattr(thing, "set"):
        return bool(thing.is_set())
    return bool(thing.broken) if hasattr(thing, "abort") else not take(thing)


def inherit(things: list[Any]) -> None:
    """A lock whose holder has ended is taken by the next, who is told."""
    for thing in things:
        if hasattr(thing, "owner_died") or hasattr(thing, "notify"):
            with pytest.warns(procession.OwnerDiedWarning):
                assert thing.acquire(False)


def serve(out: Any, back: Any) -> None:
    """A child that acts on what comes."""
    while (thing := out.get()) is not None:
        act(thing)
        back.put(None)


@ALL
def test_the_copy_is_the_same_object(make: Any) -> None:
    thing = make()
    copy = pickle.loads(pickle.dumps(thing))
    assert type(copy) is type(thing)
    act(copy)
    assert Runner(is_acted, thing).end()


def test_as_arguments(ctx: Any) -> None:
    things, done, leave = [make() for make in KINDS.values()], ctx.Event(), ctx.Event()

    def child(*given: Any) -> None:
        for thing in given:
            act(thing)
        done.set()
        leave.wait()

    process = ctx.Process(target=child, args=things)
    process.start()
    assert done.wait(20)
    assert [is_acted(thing) for thing in things] == [True] * len(things)
    leave.set()
    process.join()
    inherit(things)


def test_through_a_pipe(actor: Any) -> None:
    things, other = [make() for make in KINDS.values()], actor()
    for thing in things:
        other(act, thing)
        assert is_acted(thing)
    other.kill()
    inherit(things)


@pytest.mark.parametrize("queue", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_through_a_queue(queue: str) -> None:
    things, out, back = [make() for make in KINDS.values()], *(getattr(procession, queue)() for _ in range(2))
    process = procession.Process(target=serve, args=(out, back))
    process.start()
    for thing in things:
        out.put(thing)
        back.get()
        assert is_acted(thing)
    out.put(None)
    process.join()
    inherit(things)
    for each in (out, back):
        each.close()
        if queue != "SimpleQueue":
            each.join_thread()


def test_in_the_tasks_of_a_pool() -> None:
    things, event = [make() for make in KINDS.values()], Event()
    with procession.Pool(2) as pool:
        for thing in things:
            pool.apply(act, (thing,))
            assert is_acted(thing)
        result = pool.apply_async(event.wait, (20,))
        wait_for_waiters(event, 1)
        event.set()
        assert result.get(20) is True
        pool.close()
        pool.join()
    inherit(things)


def test_from_child_to_child_and_back(actor: Any) -> None:
    """A child makes it; its sibling and its parent use it, and it outlives its maker."""
    maker, user = actor(), actor()
    lock = maker(Lock)
    user(keep, lock)
    maker.kill()
    assert lock.acquire(False)
    assert not user(lambda: kept().acquire(False))
    lock.release()
    assert user(lambda: (kept().acquire(False), kept().release())) == (True, None)


def test_a_lock_that_was_sent_lives_on(actor: Any) -> None:
    lock, other = Lock(), actor()
    other(keep, lock)
    lock.acquire()
    del lock
    gc.collect()
    Lock().acquire()
    assert other(lambda: (kept().acquire(False), kept().release(), kept().acquire(False))) == (False, None, True)
    other(lambda: kept().release())


def test_another_family_is_refused(program: Any, tmp_path: Any) -> None:
    things = [make() for make in KINDS.values()]
    (tmp_path / "handles").write_bytes(pickle.dumps([pickle.dumps(thing) for thing in things]))
    done = program.run("-c", """if 1:
        import pathlib, pickle, procession
        for _ in range(2):
            for data in pickle.loads(pathlib.Path("handles").read_bytes()):
                try:
                    pickle.loads(data)
                except procession.FamilyError as error:
                    print(error)
            procession.Lock()  # (founds a family)
        """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("this object was made in another family of processes") == 2 * len(things)


def test_a_handle_of_nothing_is_refused() -> None:
    lock = Lock()
    data = pickle.dumps(lock)
    function, (cls, family, index, serial) = lock.__reduce__()
    for wrong in ((cls, family + 1, index, serial), (cls, family, index + 1, serial), (cls, family, index, serial + 1),
                  (cls, family, 0, serial), (cls, family, 2**32 - 1, serial)):  # fmt: skip
        with pytest.raises(FamilyError):
            function(*wrong)
    assert pickle.loads(data).acquire(False)
    assert lock.locked()
