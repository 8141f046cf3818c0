"""Calls of a manager's objects in an event loop, without a thread: the proxies' methods whose names end in ``_async``.

Each call that is under way has a connection of its own to the server, and there a thread; those that are not are kept for
the next, as long as the loop runs. A new connection is made in place, which takes a millisecond.

What takes something (a lock, an item) is an *offer*: the server does not count it as taken before we have said that we have it.
If we do not, because we were cancelled, killed, or the loop is over, the server puts it back.

    we      (id, "#OFFER", ("acquire", ...))  ->
    server                                    <-  ("#RETURN", True)
    we      TAKEN                             ->                            the end of the connection: it is released again
    server                                    <-  ("#RETURN", None)         (read before the next call)
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from multiprocessing import managers as mp_managers
from multiprocessing.managers import BaseProxy
from typing import Any, ClassVar

from procession.core import loops
from procession.core.seconds import timeout_of
from procession.share.connection import Connection, ours

__all__ = ["EventProxy", "LockProxy", "OfferingServer", "QueueProxy", "call_async"]

_theirs: Any = mp_managers
_OFFER = "#OFFER"
_TAKEN = "taken"


# --- our side ---


class _Line:
    """A connection to a server, for one call at a time."""

    def __init__(self, proxy: Any) -> None:
        from multiprocessing.process import current_process

        connection: Any = ours(proxy._Client(proxy._token.address, authkey=proxy._authkey))
        try:
            _theirs.dispatch(connection, None, "accept_connection", (f"{current_process().name}|loop",))
        except BaseException:
            connection.close()
            raise
        self.connection: Connection = connection
        self.owed = 0  # answers that nobody has read

    async def ask(self, request: Any) -> tuple[str, Any]:
        while self.owed:
            await self.connection.recv_async()
            self.owed -= 1
        await self.connection.send_async(request)
        answer: tuple[str, Any] = await self.connection.recv_async()
        return answer


def _idle_of(proxy: Any) -> list[_Line]:
    """Lines to its server that the running loop has and does not use now."""
    if proxy._serializer != "pickle":
        raise ValueError(f"a manager is awaited through connections that pickle, not by {proxy._serializer!r}")
    kept = loops.current().kept
    idle: list[_Line] = kept.setdefault((_Line, proxy._token.address, bytes(proxy._authkey)), [])
    return idle


async def _ask(proxy: Any, request: Any, taken: bool = False) -> Any:
    """The result. If it fails, or is cancelled, the line is closed: what comes there afterwards is for nobody."""
    idle = _idle_of(proxy)
    line = idle.pop() if idle else _Line(proxy)
    try:
        kind, result = await line.ask(request)
        if taken:
            line.connection.send(_TAKEN)  # (a few bytes, into an empty buffer; and nothing is awaited in between)
            line.owed += 1
    except BaseException:
        line.connection.close()
        raise
    idle.append(line)
    if kind == "#RETURN":
        return result
    if kind == "#PROXY":
        return _proxy_of(proxy, *result)
    raise _theirs.convert_to_error(kind, result)


def _proxy_of(proxy: Any, exposed: Any, token: Any) -> Any:
    """As `BaseProxy._callmethod` makes one."""
    make = proxy._manager._registry[token.typeid][-1]
    token.address = proxy._token.address
    made = make(token, proxy._serializer, manager=proxy._manager, authkey=proxy._authkey, exposed=exposed)
    connection = proxy._Client(token.address, authkey=proxy._authkey)
    _theirs.dispatch(connection, None, "decref", (token.id,))
    return made


async def call_async(proxy: BaseProxy, methodname: str, /, *args: Any, **kwds: Any) -> Any:
    """``proxy.methodname(*args, **kwds)`` for an event loop: waits there without a thread. Of whatever manager.

    Raises what the method raises; EOFError or an OSError when the server is gone. If it is cancelled, the server does the call
    to its end all the same: so not for what takes something. Nor for what belongs to a thread (an RLock, a Condition): each
    call may be another's in the server.
    """
    if not isinstance(proxy, _theirs.BaseProxy):
        raise TypeError(f"proxy must be that of a manager's object; got {proxy!r}")
    who: Any = proxy
    return await _ask(who, (who._id, methodname, args, kwds))


async def _take_async(proxy: Any, methodname: str, *args: Any) -> Any:
    """The same for what takes something: cancelled, it has taken nothing. The server has to be ours."""
    return await _ask(proxy, (proxy._id, _OFFER, (methodname, *args), {}), taken=True)


def _checked(timeout: float | None) -> float | None:
    seconds = timeout_of(timeout)
    return None if seconds is None else max(seconds, 0.0)


class EventProxy(_theirs.EventProxy):  # type: ignore[misc]
    """An event in a manager."""

    async def wait_async(self, timeout: float | None = None) -> bool:
        """`wait` for an event loop: waits there without a thread."""
        return bool(await call_async(self, "wait", _checked(timeout)))


class LockProxy(_theirs.AcquirerProxy):  # type: ignore[misc]
    """A lock or a semaphore in a manager."""

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """`acquire` for an event loop: waits there without a thread. Cancelled, or killed, it has taken nothing."""
        limit = _checked(timeout)
        return bool(await _take_async(self, "acquire", True, *(() if limit is None else (limit,))))

    async def __aenter__(self) -> bool:
        return await self.acquire_async()

    async def __aexit__(self, *error: object) -> None:
        self.release()


_QueueProxy: Any = _theirs.MakeProxyType(
    "_QueueProxy", tuple(name for name, method in vars(queue.Queue).items() if name[0] != "_" and callable(method))
)


class QueueProxy(_QueueProxy):  # type: ignore[misc]
    """A queue in a manager."""

    async def get_async(self, timeout: float | None = None) -> Any:
        """`get` for an event loop: waits there without a thread. Raises as `get` does. Cancelled, or killed, it has taken
        nothing."""
        return await _take_async(self, "get", True, _checked(timeout))

    async def put_async(self, obj: Any, timeout: float | None = None) -> None:
        """`put` for an event loop: waits there without a thread. Raises as `put` does. Cancelled while there is no space, it
        is put all the same, once there is."""
        await call_async(self, "put", obj, True, _checked(timeout))

    async def join_async(self) -> None:
        """`join` for an event loop."""
        await call_async(self, "join")


# --- the server's side ---


def _release(lock: Any, taken: Any) -> None:
    if taken:
        lock.release()


def _put_back(items: Any, item: Any) -> None:
    """Before all others. (It does not count as another task, and there may be one more than `maxsize`, for a moment.)"""
    with items.mutex:
        items.queue.appendleft(item)
        items.not_empty.notify()


#: How it is undone that nobody has got what such a method gave.
_UNDO: dict[str, Callable[[Any, Any], None]] = {"acquire": _release, "get": _put_back}


class OfferingServer(_theirs.Server):  # type: ignore[misc]
    """A manager's server that knows offers."""

    def fallback_offer(self, conn: Any, ident: str, obj: Any, methodname: str, *args: Any) -> None:
        """Do the call, and undo it unless the caller says that it has the result."""
        me: Any = self
        _, exposed, _ = me.id_to_obj.get(ident) or me.id_to_local_proxy_obj[ident]
        if methodname not in exposed or methodname not in _UNDO:
            raise AttributeError(f"method {methodname!r} of {type(obj)!r} object cannot be offered")
        try:
            answer = "#RETURN", getattr(obj, methodname)(*args)
        except Exception as error:
            answer = "#ERROR", error
        taken = False
        try:
            conn.send(answer)
            taken = conn.recv() == _TAKEN
        finally:
            if not taken and answer[0] == "#RETURN":
                _UNDO[methodname](obj, answer[1])
        if not taken:
            raise ConnectionError("the caller went away")

    fallback_mapping: ClassVar[dict[str, Any]] = {**_theirs.Server.fallback_mapping, _OFFER: fallback_offer}
