"""How a Process object travels to its child: by marshal when it is a plain one with a plain call (`core/plain.py`), else by
cloudpickle (`core/pickling.py`)."""

from __future__ import annotations

import marshal
import os
import sys
from typing import Any

from procession.core import forkhooks, plain, tracker
from procession.core.stdlib import mp_process
from procession.process.process import Process

__all__ = ["common_state", "dumps", "for_rehearsal", "hold_ready", "loads", "pickled"]

_PLAIN, _PICKLED = b"m", b"p"
#: Where the classes are that can be made anew from their state alone.
_HOMES = {"procession.process.process", "procession.process.context", "multiprocessing.context"}
#: What a process has before its start; one with more than this is the user's own kind.
_STATE = {
    "_identity", "_config", "_parent_pid", "_parent_name", "_popen", "_closed", "_target", "_args", "_kwargs", "_name",
    "_detached", "_stdin",
}  # fmt: skip

_told: dict[str, Any] = {}  # in a parent: the state that its zygotes hold ready
_ready: Process | None = None  # in a zygote: a process of that state, which its child becomes


def common_state() -> dict[str, Any]:
    """What the states of this process's children have in common as a rule: its zygotes hold it ready, and a start sends what
    differs."""
    if not _told:
        parent = mp_process.current_process()
        _told.update(
            _identity=(), _name="", _config=_config_of(parent), _parent_pid=os.getpid(), _parent_name=parent.name, _popen=None,
            _closed=False, _detached=False, _stdin=None,
        )  # fmt: skip
    return _told


def hold_ready(state: dict[str, Any]) -> None:
    """In a zygote: make what its children become."""
    global _ready
    _ready = Process.__new__(Process)
    _ready.__dict__.update(state, _target=None, _args=(), _kwargs={})
    _ready._config["authkey"] = mp_process.AuthenticationString(state["_config"]["authkey"])


def _config_of(process: Any) -> dict[str, Any]:
    return {**process._config, "authkey": bytes(process._config["authkey"])}


def _state_of(process: Process) -> dict[str, Any]:
    state = {**process.__dict__, "_config": _config_of(process)}
    if state["_stdin"] is not None:
        state["_stdin"] = True  # it travels as descriptor 0
    for part in ("_target", "_args", "_kwargs"):
        del state[part]
    return state


def dumps(process: Process, modules: set[str]) -> bytes:
    """What the child needs to become `process`. The names of the modules that it will need are added to `modules`.

    Raises what pickle raises.
    """
    try:
        return _PLAIN + marshal.dumps(_plain(process, modules))
    except Exception:  # Intricate, as a rule; whatever else is wrong with it is for cloudpickle to tell
        return pickled(process, modules)


def pickled(process: Process, modules: set[str]) -> bytes:
    """The same, by cloudpickle. (It is imported when it is needed: half of what a zygote would have in memory is its.)"""
    from procession.core import pickling

    modules.add(pickling.__name__)
    return _PICKLED + pickling.dumps(process, modules)


def for_rehearsal(target: Any, by_pickle: bool) -> bytes:
    """In a zygote: what would start `target`, without leaving anything in what it holds ready that the next start does not
    change."""
    assert _ready is not None
    state: dict[str, Any] = {"_identity": (1,), "_name": "rehearsal"}
    if not by_pickle:
        return _PLAIN + marshal.dumps((None, state, plain.plainly(target, (), {}, set())))
    process = Process.__new__(Process)
    process.__dict__.update(_ready.__dict__, **state, _target=target, _config={**_ready._config, "authkey": b""})
    return pickled(process, set())


def _plain(process: Process, modules: set[str]) -> tuple[Any, ...]:
    kind = type(process)
    if kind.__module__ not in _HOMES or process.__dict__.keys() != _STATE or tracker.runs():
        raise plain.Intricate
    call = plain.plainly(process._target, process._args, process._kwargs, modules)
    told = common_state()
    differing = {key: value for key, value in _state_of(process).items() if value != told[key]}
    return None if kind is Process else (kind.__module__, kind.__name__), differing, call


def loads(data: bytes) -> Any:
    """Undo `dumps`, in the child."""
    if data[0] == _PICKLED[0]:
        from procession.core import pickling

        return pickling.loads(memoryview(data)[1:])
    kind, state, call = marshal.loads(data[1:])
    process: Any = _ready  # (not a new one: each object that is written anew costs a child a page)
    if kind is not None:
        process.__class__ = getattr(sys.modules[kind[0]], kind[1])
    if "_config" in state:
        state["_config"]["authkey"] = mp_process.AuthenticationString(state["_config"]["authkey"])
    process.__dict__.update(state)
    process._target, process._args, process._kwargs = plain.loads(call)
    return process


forkhooks.after_in_child(_told.clear)
