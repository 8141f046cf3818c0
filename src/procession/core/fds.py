"""Descriptors that travel to a child with its start message."""

from __future__ import annotations

__all__ = ["PassedFd", "received"]

#: In a child: the descriptors that came with the message, in the order in which the parent gave them.
received: list[int] = []


class PassedFd:
    """Stands for a descriptor in the pickle of a process. (`multiprocessing.reduction` calls it DupFd.)"""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> int:
        """In the child: its own descriptor, now the caller's to close."""
        return received[self._index]
