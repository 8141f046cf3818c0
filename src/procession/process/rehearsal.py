"""A rehearsal: a spare (and before it the zygote) plays a whole start through, with a process that does nothing.

Each page that a start writes is then the spare's own already, and the zygote's code is specialised and its caches are full
before it makes the first spare.
"""

from __future__ import annotations

import os
import sys
import types

from procession import _native
from procession.core import fds, forkhooks, messages
from procession.process import bootstrap, portable
from procession.process.family import family

__all__ = ["rehearse"]

_NAME = "__procession_rehearsal__"
_messages: dict[bool, bytes] = {}


def rehearse(member: int) -> None:
    """Play a start through, to its end but for the exit."""
    from procession.process import spare

    ours, theirs = _native.channel_pair()
    _native.channel_send(ours, messages.pack(_message(), member), [0, 1, 2])
    os.close(ours)
    news, message, received = _native.spare_wait(theirs, fds.PARENT_FD, -1)
    os.close(theirs)
    if news != _native.START:  # the parent is dead
        return
    start = _native.start_take(member, messages.unpack(message), received, True)
    process = spare.become(member, *start, rehearsing=True)
    forkhooks.asleep = True
    if process is not None:
        bootstrap.rehearse(process, fds.PARENT_FD)
    sys.modules["__main__"].__dict__.pop(_NAME, None)
    family.me = _native.NOBODY  # or each clone of the zygote would count as a fork of the user's


def _message() -> bytes:
    """The start message, made once; pickled, if that is what this program's children have needed."""
    by_pickle = "procession.core.pickling" in sys.modules
    if by_pickle not in _messages:
        main = sys.modules["__main__"].__dict__  # the target is a function of the script's, as most are
        target = main[_NAME] = types.FunctionType((lambda: None).__code__, main, _NAME)
        payload = portable.for_rehearsal(target, by_pickle)
        del main[_NAME]
        _messages[by_pickle] = _native.start_message(True, 0, 0b111, "rehearsal", b"", payload)
    return _messages[by_pickle]
