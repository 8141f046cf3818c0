"""What the two faces of a pool have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from procession.pool.options import PLAIN, Options

if TYPE_CHECKING:
    from typing import Self

    from procession.pool.engine import Engine

__all__ = ["Face"]


class Face:
    """For `ProcessPoolExecutor` and `Pool` to derive from."""

    _engine: Engine
    _options: Options = PLAIN
    _origin: Any = None  # of a view: the pool itself

    def with_options(self, **options: Any) -> Self:
        """A view of this pool whose tasks have these options: `timeout`, `retries`, `priority`, `memory_limit`, `name`, `grace`
        (see `procession.pool.Options`). It shares all else with this pool, its end included."""
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._options = self._options.changed(**options)
        view._origin = self._origin or self
        return view

    @property
    def exit_results(self) -> list[Any]:
        """What the exit function returned, in each worker that has left in order so far."""
        return list(self._engine.exit_results)
