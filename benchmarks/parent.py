"""The program of one rival's parent process: a script as users write them, with the targets in its ``__main__``.

The driver (harness.py) starts one of these per rival, of the same size and with the same imports, and tells it over a
socket what to do. At the top stand only the targets: start methods that import this file in the child pay no more.
"""

import os
import sys
import time


def empty() -> None:
    """Does nothing."""


def stamp(path: str) -> None:
    """The first line of a child: what time is it? Then tell the parent, which is not measured."""
    now = time.monotonic_ns()
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, now.to_bytes(8, "little"))
    os.close(fd)


def stand(ready: str, release: str) -> None:
    """Say that we are up, then wait idly for a byte out of the named pipe `release`; the parent's end will do too."""
    import select

    parent = os.getppid()
    fd = os.open(release, os.O_RDONLY | os.O_NONBLOCK)
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    now = time.monotonic_ns()
    say = os.open(ready, os.O_WRONLY)
    os.write(say, now.to_bytes(8, "little"))
    os.close(say)
    while os.getppid() == parent:
        if poller.poll(1000):
            try:
                os.read(fd, 1)
                break
            except BlockingIOError:  # another was faster
                continue


if __name__ == "__main__":
    import measuring

    sys.exit(measuring.serve(sys.argv[1]))
