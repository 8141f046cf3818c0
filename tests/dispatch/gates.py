"""Gates, for blocks, and what else these tests have in common. (Not in conftest.py: a worker finds a class by its module, and
every room has one of that name.)"""

from __future__ import annotations

from typing import Any

import procession

LIMIT = 20.0


def serial(name: str = "serial", **options: Any) -> procession.DispatchQueue:
    return procession.DispatchQueue(name, **options)


def concurrent_(name: str = "concurrent", **options: Any) -> procession.DispatchQueue:
    return procession.DispatchQueue(name, True, **options)


class Gate:
    """``gate.enter(x)``, in a block, says that it is there, waits until the test has opened, and returns x."""

    def __init__(self) -> None:
        self.here, self.open = procession.Event(), procession.Event()

    def enter(self, value: Any = None) -> Any:
        self.here.set()
        if not self.open.wait(LIMIT):
            raise AssertionError("the gate stayed shut")
        return value

    def wait(self) -> None:
        assert self.here.wait(LIMIT), "nobody came to the gate"
