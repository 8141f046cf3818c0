"""Blocks after which nothing of what was started in them is left.

     with scope() as s         face.py: entered, left, asked
           │  s.start, s.submit                                         hosts.py: whoever runs the block
           ▼                                                               │ told, waits
    handle, task, ... ── members ──▶ core.py: open, ending, left, closed ──┘
           ▲ ends                          │ an outer one ends the inner ones
    the thread of callbacks (process/callbacks.py)

`handle.py` is one child, seen from its scope; `child.py` is the child, from within; `outcomes.py` is how its result comes home;
`members.py` all else that may be in a scope; `timer.py` a time limit. A `supervisor` is one whose core (`keeper.py`) starts its
children anew, by the rules of `restarts.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procession.scopes.handle import Handle as Handle
    from procession.scopes.members import Adoptable as Adoptable
    from procession.scopes.scope import Scope as Scope
    from procession.scopes.supervisor import Child as Child
    from procession.scopes.supervisor import ChildInfo as ChildInfo
    from procession.scopes.supervisor import Supervisor as Supervisor

#: Where they live. (A child imports this room, and needs none of them.)
_HOMES = {
    "Adoptable": "members", "Child": "supervisor", "ChildInfo": "supervisor", "Handle": "handle", "Scope": "scope",
    "Supervisor": "supervisor",
}  # fmt: skip

__all__ = ["Adoptable", "Child", "ChildInfo", "Handle", "Scope", "Supervisor"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
