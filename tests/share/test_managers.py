"""Managers: the standard library's, on our processes. Who calls a dead one gets an error; it dies with who started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from holders import Holder, back_to, used

import procession
from procession import managers
from procession.managers import BaseManager, SharedMemoryManager
from procession.testing.watch import eventually, identity, is_running

GONE = (EOFError, OSError)  #: what a call to a manager that is gone raises


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = used()
    yield
    back_to(before)


@pytest.fixture
def manager(ctx: Any) -> Iterator[Any]:
    with ctx.Manager() as manager:
        yield manager


class Call(threading.Thread):
    """A call in a thread; `end` raises what it raised."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._function, self._args = function, args
        self.begun = threading.Event()
        self.error: BaseException | None = None
        self.start()
        self.begun.wait()

    def run(self) -> None:
        self.begun.set()
        try:
            self._function(*self._args)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.join(10)
        assert not self.is_alive(), "the call hangs"
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # (no circle with its traceback: in it the standard library's connection has exported a buffer)


def kill(manager: Any) -> None:
    os.kill(manager._process.pid, signal.SIGKILL)
    manager._process.join()


# --- what it does ---


def test_children_use_its_objects(ctx: Any, manager: Any) -> None:
    def use(numbers: Any, names: Any, lock: Any, queue: Any) -> None:
        with lock:
            numbers.append(4)
            names["child"] = queue.get()

    numbers, names, lock, queue = manager.list([1, 2]), manager.dict(), manager.Lock(), manager.Queue()
    queue.put("hello")
    process = ctx.Process(target=use, args=(numbers, names, lock, queue))
    process.start()
    process.join()
    assert (list(numbers), dict(names)) == ([1, 2, 4], {"child": "hello"})


def test_its_process_and_its_pool_are_ours(manager: Any) -> None:
    assert isinstance(manager._process, procession.Process)
    with manager.Pool(1) as pool:
        assert pool.apply(os.getppid) == manager._process.pid


def test_the_standard_librarys_classes_are_its_base() -> None:
    from multiprocessing import managers as theirs

    assert issubclass(managers.SyncManager, theirs.SyncManager)
    assert managers.DictProxy is theirs.DictProxy
    assert isinstance(procession.Manager, type(procession.Lock))


def test_a_remote_client_needs_the_key() -> None:
    class Remote(BaseManager):
        pass

    Remote.register("numbers", callable=lambda: [1, 2, 3], proxytype=managers.ListProxy)
    with Remote(("127.0.0.1", 0), authkey=b"key") as server:
        client = Remote(server.address, authkey=b"key")
        client.connect()
        assert client.numbers()[1] == 2  # type: ignore[attr-defined]
        with pytest.raises(procession.AuthenticationError):
            Remote(server.address, authkey=b"no key").connect()
        assert client.numbers()[2] == 3  # type: ignore[attr-defined]


def test_shared_memory_ends_with_its_manager(ctx: Any) -> None:
    before = used()
    with SharedMemoryManager(ctx=ctx) as manager:
        memory = manager.SharedMemory(size=100)
        numbers = manager.ShareableList([1, 2, 3])
        memory.buf[0] = 7
        names = [memory.name, numbers.shm.name]
        assert list(procession.shared_memory.ShareableList(name=names[1])) == [1, 2, 3]
    for name in names:
        with pytest.raises(FileNotFoundError):
            procession.shared_memory.SharedMemory(name)
    assert memory.buf[0] == 7
    del memory, numbers
    back_to(before)


def test_shared_memory_of_a_manager_that_is_not_there() -> None:
    for make in (lambda m: m.SharedMemory(9), lambda m: m.ShareableList([1])):
        with pytest.raises(ValueError, match="not started"):
            make(SharedMemoryManager())


# --- when it dies ---


def test_a_call_under_way_gets_an_error(manager: Any) -> None:
    queue, event = manager.Queue(), manager.Event()
    calls = [Call(queue.get), Call(event.wait)]
    eventually(lambda: manager._number_of_objects() >= 2)
    kill(manager)
    for call in calls:
        with pytest.raises(GONE):
            call.end()


def test_every_call_after_that_gets_one(manager: Any) -> None:
    numbers = manager.list([1])
    fresh = manager.dict()
    numbers.append(2)
    kill(manager)
    for call in (lambda: numbers.append(3), lambda: fresh.get(1), manager.list, lambda: len(numbers)):
        with pytest.raises(GONE):
            Call(call).end()


def test_a_child_in_a_call_gets_one_too(ctx: Any, manager: Any) -> None:
    def wait(queue: Any, ready: Any) -> None:
        ready.set()
        try:
            queue.get()
        except (EOFError, OSError):
            os._exit(7)

    queue, ready = manager.Queue(), ctx.Event()
    process = ctx.Process(target=wait, args=(queue, ready))
    process.start()
    assert ready.wait(20)
    kill(manager)
    process.join(20)
    assert process.exitcode == 7


def test_who_is_connecting_gets_one(manager: Any) -> None:
    """The manager is stopped, so that it accepts and answers nobody; then it is killed."""
    pid = manager._process.pid
    os.kill(pid, signal.SIGSTOP)
    calls = [Call(manager.dict) for _ in range(5)]
    eventually(lambda: all(call.is_alive() for call in calls))
    kill(manager)
    for call in calls:
        with pytest.raises(GONE):
            call.end()


def test_with_children_of_its_own_it_leaves_nobody_waiting(manager: Any) -> None:
    pool, queue = manager.Pool(2), manager.Queue()
    workers = [identity(pool.apply(os.getpid)) for _ in range(4)]
    call = Call(queue.get)
    kill(manager)
    with pytest.raises(GONE):
        call.end()
    eventually(lambda: not any(worker and is_running(worker) for worker in workers))


def test_it_dies_with_who_started_it(ctx: Any) -> None:
    def start(path: Any) -> Any:
        import procession

        manager = procession.Manager()
        path.send(manager._process.pid)
        return manager

    ours, theirs = procession.Pipe()
    holder = Holder(ctx, start, theirs)
    server = identity(ours.recv())
    assert server
    holder.kill()
    eventually(lambda: not is_running(server))
    ours.close()
    theirs.close()


def test_a_shut_down_one_ends_in_order(ctx: Any) -> None:
    manager = ctx.Manager()
    numbers = manager.list([1])
    manager.shutdown()
    assert manager._process.exitcode == 0
    with pytest.raises(GONE):
        numbers.append(1)
