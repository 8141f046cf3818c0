"""`Process`: the object that stands for a child."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from procession.core import coroutines
from procession.core.seconds import grace_of
from procession.core.stdlib import mp_context, mp_process
from procession.errors import ClosedError, ProcessStateError
from procession.process import streams

__all__ = ["Process", "Times", "active_children", "current_process", "parent_process"]

current_process = mp_process.current_process
parent_process = mp_process.parent_process


class Times(NamedTuple):
    """Seconds that a process has spent in each of the three states of the textbook, by the scheduler's figures.

    `running` on a processor, `ready` for one, `blocked` on anything else; of the process's main thread, so that the
    three add up to its age. Source: /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst).
    """

    running: float
    ready: float
    blocked: float


class Process(BaseProcess):
    """A process that calls ``target(*args, **kwargs)``, or a subclass's `run`; if that is an ``async def``, in an event loop of
    the child's own.

    All of `multiprocessing.Process` with the same meaning. What is added is keyword-only:

    detached
        True: it outlives its parent on purpose, in a session of its own. Nothing else does.
    stdin
        What the child reads: an open file, a descriptor, or the text or bytes themselves. Default: nothing (input()
        raises EOFError), as in `multiprocessing`.

    Constructing it neither blocks nor starts anything. Raises TypeError for a target that cannot be called, arguments that
    cannot be iterated, and so on, with what was given.
    """

    _start_method: str | None = None
    # The base class's own, which typeshed does not tell of:
    _target: Callable[..., object] | None
    _args: tuple[Any, ...]
    _kwargs: dict[str, Any]
    _config: dict[str, Any]
    _parent_pid: int
    _parent_name: str
    _popen: Any
    _closed: bool

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] = {},
        *,
        daemon: bool | None = None,
        detached: bool = False,
        stdin: Any = None,
    ) -> None:
        if target is not None and not callable(target):
            raise TypeError(f"target must be callable or None, not {type(target).__name__}: {target!r}")
        streams.check_stdin(stdin)
        super().__init__(group, target, name, args, kwargs, daemon=daemon)
        self._detached = bool(detached)
        self._stdin = stdin

    # --- life ---

    def run(self) -> None:
        """What the child does; a subclass may define it anew, as an ``async def``, too. Called by `start` in the child, or by
        you, in place. A target that is a coroutine function runs in an event loop of its own, by `asyncio.run`."""
        if self._target:
            coroutines.finished(self._target(*self._args, **self._kwargs))

    def start(self) -> None:
        """Start the child and return; at once if a spare stands ready (the very first start launches the zygote).

        Raises ProcessStateError (an AssertionError) if it was started before or belongs to another process;
        UnpicklableError naming the part that cannot be sent; OSError (EAGAIN, EMFILE, ...) if the system has no room for
        another process. After an error nothing is running and nothing is left, and it may be tried again.
        """
        self._check_closed()
        if self._popen is not None:
            raise ProcessStateError(f"cannot start a process twice: {self!r}")
        if self._parent_pid != os.getpid():
            raise ProcessStateError(
                "can only start a process object created by current process: "
                f"{self.name!r} was created by process {self._parent_pid}, this is {os.getpid()}"
            )
        _forget_exited()
        self._popen = self._Popen(self)
        # The child has its own; ours could keep the process object alive in a circle (python/cpython#74956).
        del self._target, self._args, self._kwargs
        if not self._detached:
            mp_process._children.add(self)

    @staticmethod
    def _Popen(process: Process) -> Any:
        return _default_context().get_context().Process._Popen(process)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the child has ended, at most `timeout` seconds (None: for ever; 0 or less: do not wait).

        Blocks with the GIL released; Ctrl-C interrupts it. Raises ProcessStateError before start and in other processes
        than the parent.
        """
        if self._started("join").wait(timeout) is not None:
            self._is_over()

    def is_alive(self) -> bool:
        """Whether the child runs. Does not block."""
        popen = self._opened()
        if self is current_process():
            return True
        self._check_parent("test")
        if popen is None:
            return False
        if popen.poll() is None:
            return True
        self._is_over()
        return False

    def terminate(self, *, grace: float | None = None) -> None:
        """Send SIGTERM to the child. With `grace`, also to all that it started, and SIGKILL to what is left of them after
        that many seconds. Does not wait: join() does. A child that has ended is no error.
        """
        popen = self._started("terminate")
        if grace is None:
            popen.terminate()
            return
        popen.child.terminate(grace_of(grace))

    def kill(self) -> None:
        """Send SIGKILL to the child. All that it started dies with it."""
        self._started("kill").kill()

    def interrupt(self) -> None:
        """Send SIGINT to the child, where it raises KeyboardInterrupt."""
        self._started("interrupt").interrupt()

    def close(self) -> None:
        """Give up all that this object holds. Raises ValueError while the child runs; later uses raise ClosedError."""
        popen = self._popen
        if popen is not None:
            if popen.poll() is None:
                raise ValueError(
                    "Cannot close a process while it is still running. You should first call join() or terminate()."
                )
            if "procession.process.callbacks" in sys.modules:
                sys.modules["procession.process.callbacks"].closing(self)
            popen.close()
            self._is_over()
        self._closed = True  # (before the rest: see `_opened`)
        self._popen = None

    # --- waiting without waiting in place ---

    def add_done_callback(self, function: Callable[[Process], object]) -> None:
        """Call ``function(process)`` once the child has ended, at once if it has.

        It is called in a thread of procession's, one for all callbacks; what it raises is reported on stderr. Does not block.
        """
        from procession.process import callbacks

        self._started("watch")
        callbacks.add(self, function)

    def __await__(self) -> Generator[Any, None, int]:
        """``await process``: wait for its end in an event loop, without a thread; gives its exit code. Cancelling the await
        leaves the process alone. Raises as `join` does."""
        return self.join_async().__await__()  # type: ignore[return-value]  # (without a time-out)

    async def join_async(self, timeout: float | None = None, *, stop: bool = False, grace: float = 3.0) -> int | None:
        """`join` for an event loop, without a thread: the exit code, or None when the child has not ended within `timeout`
        seconds.

        With ``stop=True`` the child does not outlive the call: cancelled, or when time is up, it ends the child and all that it
        started (SIGTERM, and SIGKILL after `grace` seconds) and waits until they are gone, before the cancellation goes on. If
        the event loop itself is thrown away meanwhile, they are ended, and nobody waits. Raises as `join` does.
        """
        from procession.process import waiting

        self._started("join")
        return await waiting.join_async(self, timeout, stop, grace_of(grace))

    # --- facts ---

    @property
    def detached(self) -> bool:
        """Whether it outlives its parent."""
        return self._detached

    @property
    def exitcode(self) -> int | None:
        """None while it has not ended; then its exit code, or -N if signal N ended it. Does not block."""
        popen = self._opened()
        if self is current_process() or popen is None:
            return None
        code: int | None = popen.poll()
        return code

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable once the child has ended (a pidfd). Raises ValueError before start."""
        popen = self._opened()
        if popen is None:
            raise ValueError("process not started")
        fd: int = popen.sentinel
        return fd

    @property
    def state(self) -> str:
        """"initial" before start; "ready" (waits for a processor), "running", "blocked" (waits for anything else) or "stopped"
        while it lives; then "exited". A look at this moment, from the scheduler; does not block.
        """
        from procession.process import states

        popen = self._opened()
        if self is current_process():
            return "running"
        if popen is None:
            return "initial"
        return "exited" if popen.poll() is not None else states.of_process(popen.pid)

    def times(self) -> Times:
        """How long it has been running, ready and blocked so far, or was. Does not block."""
        from procession.process import states

        popen = self._opened()
        if popen is None:
            return Times(0.0, 0.0, 0.0) if self is not current_process() else states.own_times()
        popen.poll()
        return states.times_of(popen.child)

    # --- inside ---

    def _check_parent(self, verb: str) -> None:
        if self._parent_pid != os.getpid():
            raise ProcessStateError(
                f"can only {verb} a child process: {self.name!r} is a child of process {self._parent_pid}, "
                f"this is {os.getpid()}"
            )

    def _check_closed(self) -> None:
        if self._closed:
            raise ClosedError("process object is closed")

    def _opened(self) -> Any:
        """What stands for the child, None before start. Another thread may close us at any moment: whoever has it goes on."""
        popen = self._popen
        self._check_closed()
        return popen

    def _started(self, verb: str) -> Any:
        """The same, for its parent."""
        popen = self._opened()
        self._check_parent(verb)
        if popen is None:
            raise ProcessStateError(f"can only {verb} a started process: {self!r}")
        return popen

    def _is_over(self) -> None:
        """It has ended, and that was seen: it is no active child any more. Also when it is closed."""
        mp_process._children.discard(self)

    def _parts(self) -> dict[str, Any]:
        """What of it is pickled, by the names that an error message gives them."""
        parts: dict[str, Any] = {"target": self._target}
        parts.update({f"args[{i}]": value for i, value in enumerate(self._args)})
        parts.update({f"kwargs[{key!r}]": value for key, value in self._kwargs.items()})
        known = {"_target", "_args", "_kwargs", "_config", "_popen"}
        parts.update({f"attribute {key!r}": value for key, value in self.__dict__.items() if key not in known})
        return parts

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if state.get("_stdin") is not None:
            state["_stdin"] = True  # it travels as descriptor 0
        if mp_context.get_spawning_popen() is not None:  # (otherwise the key refuses to be pickled)
            state["_config"] = {**self._config, "authkey": bytes(self._config["authkey"])}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._config["authkey"] = mp_process.AuthenticationString(self._config["authkey"])

    def _bootstrap(self, parent_sentinel: int | None = None) -> int:
        from procession.process import bootstrap

        return bootstrap.live(self, parent_sentinel)


def active_children() -> list[BaseProcess]:
    """All children of this process that are alive. Does not block."""
    children: list[BaseProcess] = mp_process.active_children()
    return children


_context: Any = None  # (`context` is above us in its imports)


def _default_context() -> Any:
    global _context
    if _context is None:
        from procession.process.context import default_context

        _context = default_context
    return _context


_purge_at = 64


def _forget_exited() -> None:
    """Drop ended children that nobody joined from the list of children, once in a while."""
    global _purge_at
    children = mp_process._children
    if len(children) >= _purge_at:
        mp_process.active_children()
        _purge_at = max(64, 2 * len(children))

