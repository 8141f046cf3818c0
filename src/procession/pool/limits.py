"""A bound for the memory that a task may take."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limited"]


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Within it this process may have `size` bytes more of its own (heap and private mappings: RLIMIT_DATA, getrlimit(2));
    what asks for more raises MemoryError. Shared memory does not count."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data() + size
    for other in (soft, hard):
        if other != resource.RLIM_INFINITY:
            limit = min(limit, other)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    """Bytes of what RLIMIT_DATA counts that we have."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0
