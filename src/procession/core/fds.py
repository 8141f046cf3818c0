"""Descriptors: where a helper finds its own, and those that travel to a child with its start message."""

from __future__ import annotations

import os

__all__ = ["COMMONS_FD", "CONTROL_FD", "PARENT_FD", "PassedFd", "fill_standard", "received"]

#: Where a fresh helper finds the start channel, the commons, and a pidfd of its parent.
CONTROL_FD, COMMONS_FD, PARENT_FD = 3, 4, 5

#: In a child: the descriptors that came with the message, in the order in which the parent gave them.
received: list[int] = []


def fill_standard() -> None:
    """In a helper: open what of 0, 1 and 2 is closed, so that nothing else takes their place."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


class PassedFd:
    """Stands for a descriptor in the pickle of a process. (`multiprocessing.reduction` calls it DupFd.)"""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> int:
        """In the child: its own descriptor, now the caller's to close."""
        return received[self._index]
