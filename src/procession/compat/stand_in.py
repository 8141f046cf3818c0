"""The default context of `multiprocessing`, on procession."""

from __future__ import annotations

from multiprocessing import context as mp_context
from typing import Any

from procession.core import cpus
from procession.process import context
from procession.process.makers import Makers

__all__ = ["StandIn"]


class StandIn(Makers, mp_context.DefaultContext):
    """What the class of `multiprocessing`'s default context becomes.

    It shares the chosen start method with procession's own default context, so that both packages start the same kind
    of process in the same program. Here the zygote goes by the name of the method that it stands in for, "forkserver".
    """

    @property
    def _actual_context(self) -> Any:
        chosen = context.default_context._actual_context
        return context.CONTEXTS["forkserver"] if chosen is context.CONTEXTS["zygote"] else chosen

    @_actual_context.setter
    def _actual_context(self, chosen: Any) -> None:
        context.default_context._actual_context = chosen

    def cpu_count(self) -> int:
        """How many processors this process may use; see `procession.cpu_count`."""
        return cpus.cpu_count()

    def set_forkserver_preload(self, module_names: list[str]) -> None:
        """Import these modules in the zygote, so that its children have them."""
        context.default_context.set_forkserver_preload(module_names)
