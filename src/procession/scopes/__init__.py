"""Blocks after which nothing of what was started in them is left.

     with scope() as s         face.py: entered, left, asked
           │  s.start, s.submit                                         hosts.py: whoever runs the block
           ▼                                                               │ told, waits
    handle, task, ... ── members ──▶ core.py: open, ending, left, closed ──┘
           ▲ ends                          │ an outer one ends the inner ones
    the thread of callbacks (process/callbacks.py)

`handle.py` is one child, `outcomes.py` how its result comes home, `members.py` all else that may be in a scope, `timer.py` a
time limit. A `supervisor` is one whose core (`keeper.py`) starts its children anew, by the rules of `restarts.py`.
"""

from procession.scopes.handle import Handle
from procession.scopes.members import Adoptable
from procession.scopes.scope import Scope, scope
from procession.scopes.supervisor import Child, ChildInfo, Supervisor, supervisor

__all__ = ["Adoptable", "Child", "ChildInfo", "Handle", "Scope", "Supervisor", "scope", "supervisor"]
