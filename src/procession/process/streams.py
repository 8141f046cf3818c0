"""The standard streams that a child is given."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from procession.process import launch

__all__ = ["check_stdin", "mend", "on_terminal", "standard_streams"]


def check_stdin(stdin: Any) -> None:
    """Raise TypeError unless `stdin` is something that `Process(stdin=)` takes."""
    if stdin is None or (isinstance(stdin, (int, str, bytes)) and not isinstance(stdin, bool)):
        return
    if not (hasattr(stdin, "fileno") or hasattr(stdin, "read")):
        raise TypeError(
            f"stdin must be a file object, a descriptor, or the text or bytes to be read; got {type(stdin).__name__}"
        )


def standard_streams(stdin: Any) -> tuple[list[int], int]:
    """Descriptors for the child's 0, 1 and 2 (-1: closed), and one that the caller must close when they have been passed on
    (-1: there is none)."""
    fds = launch.open_standard_fds()
    if stdin is None:
        return fds, -1
    fd, ours = _stdin_fd(stdin)
    return [fd, *fds[1:]], fd if ours else -1


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


# --- in the child ---


def on_terminal() -> bool:
    """Whether our standard output is flushed at each line."""
    return sys.__stdout__ is not None and sys.__stdout__.line_buffering


def mend(given: int, terminals: int) -> None:
    """See to it that our text layers fit the parent's standard streams. Bit n of `given`: there is a stream n; of
    `terminals`: it is a terminal, where standard output is flushed at each line."""
    for fd in (1, 2):
        ours = sys.__stdout__ if fd == 1 else sys.__stderr__
        if not given & (1 << fd):
            _set_stream(fd, None)
        elif ours is None or (fd == 1 and on_terminal() != bool(terminals & 2)):
            _reopen(fd)


def _reopen(fd: int) -> None:
    old = sys.__stdout__ if fd == 1 else sys.__stderr__
    errors = old.errors if old is not None else ("strict" if fd == 1 else "backslashreplace")
    encoding = old.encoding if old is not None else None
    stream = open(fd, "w", encoding=encoding, errors=errors, closefd=False, buffering=-1)
    stream.reconfigure(line_buffering=fd == 2 or os.isatty(fd), write_through=False)
    _set_stream(fd, stream)


def _set_stream(fd: int, stream: io.TextIOWrapper | None) -> None:
    name = "stdout" if fd == 1 else "stderr"
    setattr(sys, name, stream)
    setattr(sys, "__" + name + "__", stream)
