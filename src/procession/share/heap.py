"""Small pieces of shared memory: a heap of this process that divides blocks.

The algorithm is the standard library's. Different is what happens to a piece that another process may use, since it was sent
or was there at a fork: its maker never uses it again. It goes with its block, when no process holds that any more.
"""

from __future__ import annotations

import sys
from multiprocessing import util
from typing import Any

from procession.core import forkhooks
from procession.share import blocks
from procession.share.originals import original

__all__ = ["Arena", "BufferWrapper", "Heap"]

_CHUNK = 65536


class Arena:
    """One block that is divided."""

    def __init__(self, size: int, block: blocks.Block | None = None) -> None:
        self.size = size
        self.buffer = block if block is not None else blocks.make(size)

    def __reduce__(self) -> tuple[Any, ...]:
        return Arena, (self.size, self.buffer)


_Piece = tuple[Arena, int, int]  # arena, start, stop


_Heap: Any = original("heap").Heap


class Heap(_Heap):  # type: ignore[misc]
    """The standard library's heap over our arenas. For all threads of one process; a forked child begins anew.

    An arena goes when nothing in it is in use. Each is twice as large as the one before it, up to 4 MiB.
    """

    _DISCARD_FREE_SPACE_LARGER_THAN = 0

    def __init__(self, size: int = _CHUNK) -> None:
        super().__init__(size)
        self._sent: set[_Piece] = set()
        self._spoilt: set[Arena] = set()  #: those with pieces that were freed here and may be used elsewhere

    def note_sent(self, piece: _Piece) -> None:
        """Another process may use this piece from now on."""
        if piece[1:] in self._allocated_blocks.get(piece[0], ()):
            self._sent.add(piece)

    def note_fork(self) -> None:
        """A child has all that is there."""
        for arena, pieces in list(self._allocated_blocks.items()):
            self._sent.update((arena, start, stop) for start, stop in list(pieces))

    def _new_arena(self, size: int) -> _Piece:
        usual = min(self._size << min(len(self._arenas), 16), self._DOUBLE_ARENA_SIZE_UNTIL)
        length = self._roundup(max(usual, size), _CHUNK)
        arena = Arena(length)
        self._arenas.append(arena)
        return arena, 0, length

    def _add_free_block(self, block: _Piece) -> None:
        if block in self._sent:
            self._sent.discard(block)
            self._spoilt.add(block[0])
        else:
            super()._add_free_block(block)

    def _discard_arena(self, arena: Arena) -> None:
        if arena not in self._spoilt:
            super()._discard_arena(arena)
            return
        self._spoilt.discard(arena)
        for piece in [piece for piece in self._start_to_block.values() if piece[0] is arena]:
            self._absorb(piece)
        del self._allocated_blocks[arena]
        self._arenas.remove(arena)


class BufferWrapper:
    """A piece of shared memory of `size` bytes. It can be sent to any process of the family.

    Raises ValueError or OverflowError for a size that cannot be, MemoryError when there is no memory.
    """

    _heap = Heap()

    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"Size {size:n} out of range")
        if sys.maxsize <= size:
            raise OverflowError(f"Size {size:n} too large")
        heap = BufferWrapper._heap
        block = heap.malloc(size)
        self._state = (block, size)
        util.Finalize(self, heap.free, args=(block,))

    def __getstate__(self) -> Any:
        BufferWrapper._heap.note_sent(self._state[0])
        return self._state

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def create_memoryview(self) -> memoryview:
        """Its bytes. They stay as long as the view does, but may be used for something else once the wrapper is gone."""
        (arena, start, _), size = self._state
        return memoryview(arena.buffer)[start : start + size]


def _nothing() -> None:
    pass


def _begin_anew() -> None:
    BufferWrapper._heap.__init__()  # type: ignore[misc]  # (whoever uses a piece of the parent's holds its arena)


forkhooks.around(_nothing, lambda: BufferWrapper._heap.note_fork(), _nothing)
forkhooks.after_in_child(_begin_anew)
