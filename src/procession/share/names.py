"""Names of shared memory, known in the whole family; and how a process that was not started by us finds its family."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

from procession import _native
from procession.process.family import family

__all__ = ["attach", "create", "join", "unlink"]

_PAGE = 4096  # of the block, for its name
_LINK = "/memfd:procession (deleted)"


class Block(_native.Block):
    """A block with a name; its first page is the name's."""

    __slots__ = ()


def _encode(name: str) -> bytes:
    raw = os.fsencode(name)
    if b"\0" in raw:
        raise ValueError("embedded null character")
    if not raw.lstrip(b"/") or b"/" in raw.lstrip(b"/"):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    if len(raw) > 255:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
    return raw


def create(name: str, size: int) -> tuple[Block, memoryview]:
    """New memory of that name, full of zeros. Raises FileExistsError when there is one in the family, MemoryError."""
    raw = _encode(name)
    join()
    family.ensure()
    block: Block = _native.block_make(Block, _PAGE + size, 0, True)
    if not _native.name_give(block, raw):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    return block, memoryview(block)[_PAGE:]


def attach(name: str) -> tuple[Block, memoryview] | None:
    """The memory of that name in this family, or None."""
    raw = _encode(name)
    join()
    block: Block | None = _native.name_find(Block, raw) if family.exists else None
    return None if block is None else (block, memoryview(block)[_PAGE:])


def unlink(name: str) -> bool:
    """Take the name away; whether there was one. The memory lives on while somebody holds it."""
    return family.exists and _native.name_take(_encode(name))


# --- joining ---


def join() -> None:
    """Become a member of the family that the environment tells of, if this process is in none.

    A program that a member runs (with `subprocess`, say) has the member's cookie in its environment. Its place in the family
    is that of a fork of that member. Nothing happens when the family, or that member, is gone.
    """
    cookie = os.environ.get(_native.COOKIE)
    if family.exists or not cookie:
        return
    with family._lock:
        if not family.exists:
            _join(cookie)


def _join(cookie: str) -> None:
    number, _, rest = cookie.partition(".")
    slot, _, generation = rest.partition(".")
    try:
        parent = int(generation, 16) << 32 | int(slot, 16)
    except ValueError:
        return
    for fd in _candidates():
        if not _is_family(fd, number):
            os.close(fd)
            continue
        try:
            _native.commons_join(fd)
        except (OSError, ValueError):  # (another version's)
            os.close(fd)
            continue
        try:
            _become(parent)
        except OSError:  # that member is gone, or the table is full
            _native.commons_leave()
        return


def _become(parent: int) -> None:
    if _native.table_get(parent) is None:
        raise ProcessLookupError("the member whose cookie we have is gone")
    me = _native.table_add(_native.RUNNING, _native.FORKED, parent, os.path.basename(sys.argv[0] or "program"))
    _native.self_settle(me, _native.RUNNING)
    family.become(me)


def _is_family(fd: int, number: str) -> bool:
    """Whether that memory is of the family with this number."""
    head = os.pread(fd, 24, 0)
    ours = _native.COMMONS_MAGIC.to_bytes(8, sys.byteorder)
    return head[:8] == ours and f"{int.from_bytes(head[16:24], sys.byteorder):016x}" == number


def _candidates() -> Iterator[int]:
    """Descriptors of families' memory: of our ancestors first, then of all processes."""
    for pid in _ancestors():
        yield from _open_of(pid)
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield from _open_of(int(name))


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 1:
        yield pid
        found: Any = _native.proc_stat(pid)
        if found is None:
            return
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            return


def _open_of(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if os.readlink(path) == _LINK:
                yield os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
