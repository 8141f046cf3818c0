"""The standard streams that a child is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from procession.process import launch

__all__ = ["check_stdin", "standard_streams"]


def check_stdin(stdin: Any) -> None:
    """Raise TypeError unless `stdin` is something that `Process(stdin=)` takes."""
    if stdin is None or (isinstance(stdin, (int, str, bytes)) and not isinstance(stdin, bool)):
        return
    if not (hasattr(stdin, "fileno") or hasattr(stdin, "read")):
        raise TypeError(
            f"stdin must be a file object, a descriptor, or the text or bytes to be read; got {type(stdin).__name__}"
        )


@contextmanager
def standard_streams(stdin: Any) -> Iterator[list[int]]:
    """Descriptors for the child's 0, 1 and 2 (-1: closed), valid within the block."""
    fds = launch.open_standard_fds()
    if stdin is None:
        yield fds
        return
    fd, ours = _stdin_fd(stdin)
    try:
        yield [fd, *fds[1:]]
    finally:
        if ours:
            os.close(fd)


def _stdin_fd(stdin: Any) -> tuple[int, bool]:
    """A descriptor for `stdin`, and whether it is ours to close."""
    if isinstance(stdin, int):
        return stdin, False
    if not isinstance(stdin, (str, bytes)):
        try:
            return int(stdin.fileno()), False
        except (OSError, AttributeError, ValueError):  # no descriptor behind it (io.StringIO, a captured stream)
            stdin = stdin.read()
    data = stdin.encode() if isinstance(stdin, str) else bytes(stdin)
    fd = os.memfd_create("procession-stdin", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd, True
