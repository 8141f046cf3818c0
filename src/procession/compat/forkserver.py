"""``multiprocessing.forkserver._forkserver``, for those who know of it: it answers for our zygote."""

from __future__ import annotations

from procession.process import context
from procession.process.nursery import nursery

__all__ = ["ForkServer"]


class ForkServer:
    """The interface of the standard library's object, as far as it makes sense for a zygote."""

    @property
    def _forkserver_pid(self) -> int | None:
        """The zygote's pid; None when none runs."""
        zygote = nursery._zygote
        return None if zygote is None or zygote.poll() else zygote.pid

    @property
    def _preload_modules(self) -> list[str]:
        return nursery.preload()

    def ensure_running(self) -> None:
        """Launch the zygote unless it runs. Does not wait for it."""
        nursery.warm_up()

    def set_forkserver_preload(self, modules_names: list[str]) -> None:
        """Import these modules in the next zygote."""
        context.default_context.set_forkserver_preload(modules_names)

    def get_inherited_fds(self) -> None:
        """Descriptors that were handed on by a fork server: never any."""

    def _stop(self) -> None:
        """End the zygote and its idle children, and wait until they have ended."""
        nursery.stop()
