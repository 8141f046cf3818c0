"""The pool of a scope's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.pool.executor import ProcessPoolExecutor

if TYPE_CHECKING:
    from procession.scopes.core import Core

__all__ = ["OwnPool"]


class OwnPool:
    """Made with the first task of its scope; its workers end with the scope, when all tasks are over."""

    def __init__(self, core: Core) -> None:
        self.pool = ProcessPoolExecutor(mp_context=core.context, exit_timeout=core.grace)

    def end(self, core: Core) -> None:
        """Blocks until its workers have left. A signal's handler may raise here; then it can be called again."""
        self._dismiss(core)
        self.pool.shutdown(wait=True)

    async def end_async(self, core: Core) -> None:
        """The same in an event loop."""
        for worker in self._dismiss(core):
            await worker.join_async()

    def _dismiss(self, core: Core) -> list[Any]:
        workers = list(self.pool._processes.values())
        for worker in workers:
            core.note_dead(worker)
        if core.killing:
            self.pool.kill_workers()
        self.pool.shutdown(wait=False)
        return workers
