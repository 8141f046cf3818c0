"""Workers leave when there has been nothing to do for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procession.pool.engine import Engine

__all__ = ["Idleness"]


class Idleness:
    """Of one pool. The engine's lock guards it. One look is under way at a time, so to begin costs next to nothing."""

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._since = 0.0
        self._looking = False

    def begin(self) -> None:
        """No task is left."""
        self._since = time.monotonic()
        if not self._looking:
            self._looking = True
            self._engine.stopper.at(self._since + self._timeout, self._look)

    def _look(self) -> None:
        engine = self._engine
        if engine.outstanding() or engine.closing:
            self._looking = False  # the next end of all tasks begins anew
        elif self._since + self._timeout > time.monotonic():
            engine.stopper.at(self._since + self._timeout, self._look)
        else:
            self._looking = False
            engine.crew.send_home()
