"""Contexts: the whole interface of `multiprocessing`, bound to one start method.

Derived from the standard library's contexts: that is what programs look for.
"""

from __future__ import annotations

from multiprocessing import context as mp_context
from typing import Any

from procession.core import cpus
from procession.errors import StartMethodError
from procession.process import process as process_module
from procession.process.makers import Makers
from procession.process.process import Process

__all__ = ["ForkContext", "ForkServerContext", "SpawnContext", "ZygoteContext", "default_context"]


class _Context(Makers, mp_context.BaseContext):
    """What all our contexts share."""

    _name = ""
    current_process = staticmethod(process_module.current_process)
    parent_process = staticmethod(process_module.parent_process)
    active_children = staticmethod(process_module.active_children)

    def cpu_count(self) -> int:
        """How many processors this process may use; see `procession.cpu_count`."""
        return cpus.cpu_count()

    def get_start_method(self, allow_none: bool = False) -> str:
        return self._name

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        raise ValueError("cannot set start method of concrete context")

    def get_context(self, method: str | None = None) -> Any:
        return self if method is None else _named(method)

    def set_forkserver_preload(self, module_names: list[str]) -> None:
        """Import these modules in the zygote, so that its children have them. Takes effect with the next zygote."""
        if not isinstance(module_names, (list, tuple)) or not all(type(name) is str for name in module_names):
            raise TypeError("module_names must be a list of strings")
        from procession.process.nursery import nursery

        nursery.change_preload([name for name in module_names if name != "__main__"])

    def _check_available(self) -> None:
        pass


_popen_classes: dict[str, Any] = {}  # (imported at the first start)


def _popen(method: str) -> Any:
    def make(process: Process) -> Any:
        if not _popen_classes:
            from procession.process.popen import POPEN

            _popen_classes.update(POPEN)
        return _popen_classes[method](process)

    return make


class ZygoteProcess(Process):
    """A process made by the zygote."""

    _start_method = "zygote"
    _Popen = staticmethod(_popen("zygote"))


class ForkServerProcess(Process):
    """A process made by the zygote, under the name that `multiprocessing` gives the method."""

    _start_method = "forkserver"
    _Popen = staticmethod(_popen("zygote"))


class ForkProcess(Process):
    """A process made by os.fork()."""

    _start_method = "fork"
    _Popen = staticmethod(_popen("fork"))


class SpawnProcess(Process):
    """A process that is a fresh interpreter."""

    _start_method = "spawn"
    _Popen = staticmethod(_popen("spawn"))


class ZygoteContext(_Context):
    _name = "zygote"
    Process = ZygoteProcess


class ForkServerContext(_Context):
    _name = "forkserver"
    Process = ForkServerProcess


class ForkContext(_Context):
    _name = "fork"
    Process = ForkProcess


class SpawnContext(_Context):
    _name = "spawn"
    Process = SpawnProcess


CONTEXTS: dict[str, Any] = {
    "zygote": ZygoteContext(),
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


def _named(method: str) -> Any:
    try:
        return CONTEXTS[method]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, CONTEXTS))
        raise StartMethodError(f"cannot find context for {method!r}: the start methods are {known}") from None


class DefaultContext(_Context):
    """The context behind the package's own functions: its start method can be set, once."""

    Process = Process

    def __init__(self) -> None:
        self._default_context = CONTEXTS["zygote"]
        self._actual_context: Any = None

    def get_context(self, method: str | None = None) -> Any:
        """The context of a start method; without one, of the present default."""
        if method is not None:
            return _named(method)
        if self._actual_context is None:
            self._actual_context = self._default_context
        return self._actual_context

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Set the default start method. Raises RuntimeError if it was set or used before, unless `force`."""
        if self._actual_context is not None and not force:
            raise RuntimeError("context has already been set")
        self._actual_context = None if method is None and force else _named(method)  # type: ignore[arg-type]

    def get_start_method(self, allow_none: bool = False) -> str:
        """Its name; None if `allow_none` and neither set nor used yet."""
        if self._actual_context is None:
            if allow_none:
                return None  # type: ignore[return-value]
            self._actual_context = self._default_context
        name: str = self._actual_context._name
        return name

    def get_all_start_methods(self) -> list[str]:
        """The names that can be given to `set_start_method` and `get_context`, the default first."""
        return list(CONTEXTS)


default_context: DefaultContext = DefaultContext()


def force_start_method(method: str) -> None:
    """In a child: make `method` its default, whatever was set or used before."""
    default_context._actual_context = CONTEXTS[method]
