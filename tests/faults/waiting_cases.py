"""The cases of `test_waiting_table`: how each class is waited for, and what the other side, a process, does about it."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import procession
from procession import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    JoinableQueue,
    Lock,
    Pipe,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    SimpleQueue,
    wait,
    wait_async,
)  # fmt: skip
from procession.testing.saboteurs import sleep_for_ever

sys.path.append(str(Path(__file__).parents[1] / "sync"))
from actors import Actor, Runner, keep, kept


class Case(NamedTuple):
    """How a class is waited for, and what the other side does."""

    make: Callable[[World], Any]  # not done
    end: Callable[[World, Any], object]  # make it done
    in_place: Callable[[Any, float], object]  # true: in time
    at_once: Callable[[Any], object]  # without waiting
    awaited: Callable[[Any, float], Awaitable[object]]
    die: Callable[[World, Any], object]  # the other side is killed
    done_by_death: bool
    has_limit: bool = True  # the form in place has a time limit


class World:
    """The other side."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.pools: list[Any] = []
        self.processes: list[Any] = []
        self.more: list[Any] = []
        self.orders: Any = None

    @property
    def actor(self) -> Actor:
        if not self.actors:
            self.actors.append(Actor())
        return self.actors[-1]

    def kill(self, thing: Any = None) -> None:
        """The other side; the next is another."""
        self.actors.pop().kill()

    def close(self) -> None:
        for pool in self.pools:
            pool.shutdown() if hasattr(pool, "shutdown") else pool.terminate()
        for pool in self.pools:
            pool.join() if hasattr(pool, "join") else None
        for actor in self.actors:
            actor.close()
        for process in self.processes:
            process.kill()
            process.join()
        for thing in self.more:
            thing.close()


# --- the cases ---


def _process(world: World) -> Any:
    process = procession.Process(target=sleep_for_ever)
    process.start()
    return process


def _joined(process: Any, timeout: float) -> bool:
    process.join(timeout)
    return process.exitcode is not None


async def _is_not_none(waiting: Awaitable[Any]) -> bool:
    return await waiting is not None


def _taken(make: Callable[[], Any], world: World) -> Any:
    """One that the other side has."""
    thing = make()
    world.actor(thing.acquire)
    return thing


def _given(world: World, thing: Any) -> None:
    world.actor(thing.release)


def _acquire(thing: Any, timeout: float) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", procession.OwnerDiedWarning)
        return bool(thing.acquire(True, timeout))


async def _acquire_async(thing: Any, timeout: float) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", procession.OwnerDiedWarning)
        return bool(await thing.acquire_async(timeout))


def _lock(make: Callable[[], Any], done_by_death: bool = True) -> Case:
    return Case(partial(_taken, make), _given, _acquire, lambda thing: _acquire(thing, 0), _acquire_async, World.kill,
                done_by_death)  # fmt: skip


def _side(name: str, other: str) -> Case:
    """To read, while the other side writes; and to write, while it reads."""

    def make(world: World) -> Any:
        lock = RWLock()
        world.actor(getattr(lock, other)().acquire)
        return getattr(lock, name)()

    def end(world: World, side: Any) -> None:
        world.actor(getattr(side._lock, other)().release)

    return Case(make, end, _acquire, lambda side: side.acquire(False), _acquire_async, World.kill, True)


def _notified(condition: Any, timeout: float) -> bool:
    with condition:
        return bool(condition.wait(timeout))


async def _notified_async(condition: Any, timeout: float) -> bool:
    async with condition:
        return bool(await condition.wait_async(timeout))


def _notify(world: World, condition: Any) -> None:
    def notify() -> None:
        with condition:
            condition.notify()

    world.actor(notify)


def _barrier(world: World) -> Any:
    barrier = Barrier(3)
    world.actor(barrier.join_in)
    return barrier


def _met(barrier: Any, timeout: float) -> bool:
    """It would break at a time-out, and is not to."""
    return bool(wait([barrier], timeout).done)


async def _met_async(barrier: Any, timeout: float) -> bool:
    return bool((await wait_async([barrier], timeout)).done)


def _meet(world: World, barrier: Any) -> None:
    world.actor.begin(barrier.wait)
    threads = [Runner(barrier.wait) for _ in range(2)]
    assert world.actor.end() + sum(thread.end() for thread in threads) == 3


def _got(queue: Any, timeout: float) -> bool:
    try:
        return queue.get(True, timeout) == "item"
    except procession.queues.Empty as error:
        return isinstance(error, procession.Closed)


async def _got_async(queue: Any, timeout: float) -> bool:
    try:
        return await queue.get_async(timeout) == "item"
    except procession.queues.Empty as error:
        return isinstance(error, procession.Closed)


def _queue(world: World) -> Any:
    """One into which only the other side will put."""
    queue = Queue()
    world.actor(queue.empty)  # (has its own handle, as long as it lives)
    world.actor(keep, queue)
    queue.put("first")
    queue.close()
    queue = world.actor(kept)
    assert queue.get() == "first"
    return queue


def _full(world: World) -> Any:
    queue = Queue(1)
    queue.put("item")
    world.actor(queue.empty)
    return queue.space


def _puts(space: Any, timeout: float) -> bool:
    try:
        space._queue.put("item", True, timeout)
    except procession.queues.Full:
        return False
    return True


async def _puts_async(space: Any, timeout: float) -> bool:
    try:
        await space._queue.put_async("item", timeout)
    except procession.queues.Full:
        return False
    return True


def _unfinished(world: World) -> Any:
    queue = JoinableQueue()
    queue.put("item")
    assert world.actor(queue.get) == "item"
    return queue.joined


def _connection(world: World) -> Any:
    """Its other end is that of an actor that is told things by a queue."""
    ours, theirs = Pipe()
    world.orders = SimpleQueue()
    process = procession.Process(target=serve_connection, args=(theirs, world.orders))
    process.start()
    theirs.close()
    world.processes.append(process)
    world.more.append(ours)
    return ours


def serve_connection(connection: Any, orders: Any) -> None:
    while order := orders.get():
        connection.send(order)


def _received(connection: Any, timeout: float) -> bool:
    if not connection.poll(timeout):
        return False
    try:
        return connection.recv() == "item"
    except EOFError:
        return True


async def _received_async(connection: Any, timeout: float) -> bool:
    """(There is no time limit of its own.)"""
    if not (await wait_async([connection], timeout)).done:
        return False
    try:
        return await connection.recv_async() == "item"
    except EOFError:
        return True


def obey(order: Any) -> None:
    """A task that waits for its order: to end, or to be killed."""
    if order.get() == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def _future(world: World) -> Any:
    if not world.pools:
        world.pools.append(procession.ProcessPoolExecutor(1))
    order = SimpleQueue()
    future = world.pools[-1].submit(obey, order)
    world.more.append(order)
    return future


def _result(world: World, many: bool) -> Any:
    if not world.pools:
        world.pools.append(procession.Pool(1))
    order = SimpleQueue()
    world.more.append(order)
    pool = world.pools[-1]
    return pool.map_async(obey, [order]) if many else pool.apply_async(obey, (order,))


def _order(what: str) -> Callable[[World, Any], None]:
    return lambda world, task: world.more[-1].put(what)


def _ended(future: Any, timeout: float) -> bool:
    try:
        future.result(timeout) if hasattr(future, "result") else future.get(timeout)
    except (procession.WorkerDied, procession.ProcessError) as error:
        return not isinstance(error, procession.TimeoutError)
    except TimeoutError:
        return False
    return True


async def _ended_async(future: Any, timeout: float) -> bool:
    try:
        if hasattr(future, "result"):
            await future.result_async(timeout, stop=False)
        else:
            await future.get_async(timeout)
    except (procession.WorkerDied, procession.ProcessError) as error:
        return not isinstance(error, procession.TimeoutError)
    except TimeoutError:
        return False
    return True


def _put(world: World, queue: Any) -> None:
    world.actor(queue.put, "item")


CASES: dict[str, Case] = {
    "Process": Case(_process, lambda world, process: process.kill(), _joined, lambda process: _joined(process, 0),
                    lambda process, timeout: _is_not_none(process.join_async(timeout)),
                    lambda world, process: process.kill(), True),
    "Lock": _lock(Lock),
    "RLock": _lock(RLock),
    "Semaphore": _lock(Semaphore, False),
    "Semaphore, robust": _lock(partial(Semaphore, robust=True)),
    "BoundedSemaphore": _lock(BoundedSemaphore),
    "RWLock.reading": _side("reading", "writing"),
    "RWLock.writing": _side("writing", "reading"),
    "Event": Case(lambda world: Event(), lambda world, event: world.actor(event.set),
                  lambda event, timeout: event.wait(timeout), lambda event: event.is_set(),
                  lambda event, timeout: event.wait_async(timeout), lambda world, event: world.kill(world.actor), False),
    "Condition": Case(lambda world: Condition(), _notify, _notified, lambda condition: _notified(condition, 0),
                      _notified_async, lambda world, condition: world.kill(world.actor), False),
    "Barrier": Case(_barrier, _meet, _met, lambda barrier: barrier.broken, _met_async, World.kill, True),
    "Queue": Case(_queue, _put, _got, lambda queue: _got(queue, 0), _got_async, World.kill, True),
    "Queue.space": Case(_full, lambda world, space: world.actor(space._queue.get), _puts, lambda space: _puts(space, 0),
                        _puts_async, World.kill, False),
    "JoinableQueue.joined": Case(_unfinished, lambda world, joined: world.actor(joined._queue.task_done),
                                 lambda joined, timeout: joined._queue.join(timeout), lambda joined: joined.done(),
                                 lambda joined, timeout: joined._queue.join_async(timeout), World.kill, False),
    "SimpleQueue": Case(lambda world: SimpleQueue(), _put, lambda queue, timeout: queue.get(), lambda queue: not queue.empty(),
                        _got_async, lambda world, queue: world.kill(world.actor), False, has_limit=False),
    "Connection": Case(_connection, lambda world, connection: world.orders.put("item"), _received,
                       lambda connection: _received(connection, 0), _received_async,
                       lambda world, connection: world.processes[-1].kill(), True),
    "Future": Case(_future, _order("end"), _ended, lambda future: future.done(), _ended_async, _order("die"), True),
    "AsyncResult": Case(partial(_result, many=False), _order("end"), _ended, lambda result: result.ready(), _ended_async,
                        _order("die"), True),
    "MapResult": Case(partial(_result, many=True), _order("end"), _ended, lambda result: result.ready(), _ended_async,
                      _order("die"), True),
}  # fmt: skip
