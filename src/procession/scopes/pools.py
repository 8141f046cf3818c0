"""The pool of a scope's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.pool.executor import ProcessPoolExecutor
from procession.process import callbacks
from procession.scopes.timer import Timer

if TYPE_CHECKING:
    from procession.scopes.core import Core

__all__ = ["OwnPool"]


class OwnPool:
    """Made with the first task of its scope, and its last member: when all others are over its workers leave. Those that do not
    (a task has left a thread there) are waited for; when the scope is being ended, they are killed after its grace."""

    told = asked = shield = False
    name = "a worker of its pool"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._workers: dict[Any, None] | None = None  # that were sent away, and have not ended
        self._timer: Timer | None = None
        self.pool = ProcessPoolExecutor(mp_context=core.context, exit_timeout=core.grace)

    def dismiss(self) -> None:
        core = self._core
        workers = list(self.pool._processes.values())
        self.pool.shutdown(wait=False)
        self._workers = dict.fromkeys(workers)
        for worker in workers:
            core.note_dead(worker)
            try:
                callbacks.add(worker, self._over, quick=True)
            except Exception:  # no thread or descriptor is to be had: nobody would know of its end
                worker.kill()
                worker.join()
                self._over(worker)
        if not workers:
            core.gone(self)
        elif core.killing:
            self.kill()
        elif core.why is not None:
            self.end()

    def _over(self, worker: Any) -> None:
        core, workers = self._core, self._workers
        assert workers is not None
        with core.lock:
            workers.pop(worker, None)
            timer = self._timer
        if not workers:
            if timer is not None:
                timer.cancel()
            core.gone(self)

    def end(self) -> None:
        """(What its tasks do is ended by these.)"""
        with self._core.lock:  # (the last of them may just end)
            if not self._workers or self._timer is not None:
                return
            try:
                self._timer = Timer(self._core.grace, self.kill)
            except Exception:  # (as above)
                self.kill()

    def kill(self) -> None:
        for worker in list(self._workers or ()):
            if worker._popen is not None:
                worker._popen.kill()
