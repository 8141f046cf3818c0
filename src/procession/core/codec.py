"""How a message is written down that is not plain: pickle with `multiprocessing`'s reducers, and big buffers out of band.

A buffer (pickle's protocol 5, PEP 574) of `BUFFER_LEAST` bytes or more goes into a block of the family's memory: one copy by
the sender, none by the receiver, whose object keeps the block alive. What pickle cannot write, cloudpickle may: functions and
classes that have no name to be found by.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Sequence
from typing import Any

from procession import _native
from procession.core.stdlib import mp_reduction

__all__ = ["BUFFER_LEAST", "Reducers", "dumps", "loads"]

BUFFER_LEAST = 16384
#: More of them than this stay in the pickle.
_MOST_BUFFERS = 250


class Reducers(dict[type, Any]):
    """A pickler's dispatch table: the reducers of ForkingPickler and of copyreg, as they are now."""

    def __missing__(self, kind: type) -> Any:
        extra = mp_reduction.ForkingPickler._extra_reducers
        return extra[kind] if kind in extra else copyreg.dispatch_table[kind]


def _pickle(obj: Any, pickler: Any, whole: bool) -> tuple[bytes, list[Any]]:
    file = io.BytesIO()
    blocks: list[Any] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < BUFFER_LEAST or len(blocks) == _MOST_BUFFERS:
            return True
        blocks.append(_native.block_copy(_native.Block, raw, 0))
        return False

    made = pickler(file, pickle.HIGHEST_PROTOCOL, buffer_callback=None if whole else keep_in_band)
    if pickler is pickle.Pickler:
        made.dispatch_table = Reducers()
    made.dump(obj)
    return file.getvalue(), blocks


def dumps(obj: Any, whole: bool = False) -> tuple[bytes, list[Any]]:
    """The pickle of `obj`, and the blocks with its big buffers; none if it is to be `whole`. Raises what pickle raises,
    MemoryError for want of memory."""
    try:
        return _pickle(obj, pickle.Pickler, whole)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        try:
            return _by_value(obj, whole)
        except Exception:
            raise error from None


def _by_value(obj: Any, whole: bool) -> tuple[bytes, list[Any]]:
    import cloudpickle

    table = {**cloudpickle.Pickler.dispatch_table, **mp_reduction.ForkingPickler._extra_reducers}
    table.pop(io.TextIOWrapper, None)  # (of a file it would send the text)
    return _pickle(obj, type("Pickler", (cloudpickle.Pickler,), {"dispatch_table": table}), whole)


def loads(data: Any, blocks: Sequence[Any] | None) -> Any:
    """Undo `dumps`. What is made of the blocks keeps them alive."""
    return pickle.loads(data, buffers=blocks)
