"""Blocks: bytes in the family's memory, as a buffer, that live as long as any process holds them."""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.process.family import family

__all__ = ["Block", "copy", "make"]


class Block(_native.Block):
    """A handle of a block, made by `make` and `copy`. It is a buffer that can be written.

    It can be sent to any process of the family at any time; the other holds the same memory then. When the last handle is
    gone, by whatever end its process came to, the memory is free. A buffer of it (a memoryview, an array) keeps the handle.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _native.block_receive, (type(self), *self.parcel())


def make(size: int, flags: int = 0, *, clean: bool = True) -> Block:
    """New memory, full of zeros if `clean`. Raises MemoryError when there is none. Founds a family if there is none."""
    family.ensure()
    block: Block = _native.block_make(Block, size, flags, clean)
    return block


def copy(data: Any, flags: int = 0) -> Block:
    """New memory with the bytes of `data`, any contiguous buffer. As `make`."""
    family.ensure()
    block: Block = _native.block_copy(Block, data, flags)
    return block
