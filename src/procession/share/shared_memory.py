"""SharedMemory and ShareableList, as `multiprocessing.shared_memory`, in the family's memory.

A name is known to every process of the family, and to programs that a member runs, once they import procession. It lasts until
`unlink`, or until the family's last process is gone, however that ends. There is no tracker, and nothing in /dev/shm.
What is not found in the family is looked for among the system's names, so that one can talk to others.
"""

from __future__ import annotations

import mmap
import os
import secrets
from types import FunctionType
from typing import Any

from procession.share import names
from procession.share.originals import original

__all__ = ["ShareableList", "SharedMemory"]

_USE_POSIX = True
_SHM_SAFE_NAME_LENGTH = 14
_SHM_NAME_PREFIX = "/psm_"
_O_CREX = os.O_CREAT | os.O_EXCL


def _make_filename() -> str:
    """A random name."""
    return _SHM_NAME_PREFIX + secrets.token_hex((_SHM_SAFE_NAME_LENGTH - len(_SHM_NAME_PREFIX)) // 2)


class SharedMemory:
    """Memory with a name: a new one (`create`, of `size` bytes), or the one that has it.

    Raises ValueError for a bad size or a missing name, FileExistsError, FileNotFoundError, MemoryError. `track` is accepted:
    nothing is tracked. It pickles as its name.
    """

    _name: str = ""
    _mmap: Any = None  #: a block, or the map of memory that is not the family's
    _buf: memoryview | None = None
    _fd = -1
    _flags = os.O_RDWR
    _mode = 0o600
    _prepend_leading_slash = True
    _track = False

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create:
            self._flags = _O_CREX | os.O_RDWR
            if size == 0:
                raise ValueError("'size' must be a positive number different from zero")
        if name is None and not self._flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        self._size = 0
        if name is None:
            self._create_unnamed(size)
        else:
            self._open("/" + name if self._prepend_leading_slash else name, size)

    def _create_unnamed(self, size: int) -> None:
        while not self._name:
            try:
                self._open(_make_filename(), size)
            except FileExistsError:
                continue

    def _open(self, name: str, size: int) -> None:
        found = None if self._flags & os.O_EXCL else names.attach(name)
        if found is None:
            wanted = self._flags & os.O_CREAT and size > 0
            found = names.create(name, size) if wanted else _attach_others(name)
        self._mmap, self._buf = found
        self._size = len(self._buf)
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, False, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self) -> memoryview | None:
        """Its bytes; None after `close`."""
        return self._buf

    @property
    def name(self) -> str:
        """Its name, without the slash in front."""
        return self._name.removeprefix("/") if self._prepend_leading_slash else self._name

    @property
    def size(self) -> int:
        """How many bytes."""
        return self._size

    def close(self) -> None:
        """Give up this handle. The memory stays while it has its name, or somebody else has a handle.

        Raises BufferError when a view of `buf` is still there, as the standard library does. Such a view, and an array that
        was made of `buf`, keeps the memory: it can be used after this.
        """
        if self._buf is not None:
            self._buf.release()
            self._buf = None
        memory = self._mmap
        if memory is None:
            return
        if isinstance(memory, mmap.mmap):
            memory.close()
        elif memory.views:
            raise BufferError("cannot close exported pointers exist")
        self._mmap = None

    def unlink(self) -> None:
        """Take the name away. Raises FileNotFoundError when it has none any more. The memory goes with its last handle."""
        if not self._name or names.unlink(self._name):
            return
        from _posixshmem import shm_unlink  # type: ignore[import-not-found]

        shm_unlink(self._name)


def _attach_others(name: str) -> tuple[Any, memoryview]:
    """Memory of that name in the system. No tracker is told of it: it is not ours to remove."""
    from _posixshmem import shm_open

    fd = shm_open(name, os.O_RDWR, mode=0o600)
    try:
        memory = mmap.mmap(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)
    return memory, memoryview(memory)


_theirs = original("shared_memory")
_List: Any = _theirs.ShareableList


class ShareableList(_List):  # type: ignore[misc]
    """The standard library's, in memory of ours."""

    # (its own function, for which SharedMemory is ours)
    _init = _List.__init__
    __init__ = FunctionType(_init.__code__, {**vars(_theirs), "SharedMemory": SharedMemory}, "__init__", _init.__defaults__)
    __init__.__kwdefaults__ = _init.__kwdefaults__
