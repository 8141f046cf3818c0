"""The standard library's own modules, also where ours go by their names (`procession.compat`)."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module, util
from multiprocessing import context
from pathlib import Path
from typing import Any

__all__ = ["original"]


@cache
def original(name: str) -> Any:
    """The module `multiprocessing.NAME` of the standard library."""
    full = f"multiprocessing.{name}"
    path = str(Path(context.__file__).with_name(f"{name}.py"))
    present = sys.modules.get(full)
    if present is not None and getattr(present, "__file__", None) == path:
        return present
    if present is None and not any(type(finder).__module__ == "procession.compat.memory" for finder in sys.meta_path):
        return import_module(full)
    spec = util.spec_from_file_location(full, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no {path}")
    module = util.module_from_spec(spec)  # beside the one in sys.modules
    spec.loader.exec_module(module)
    return module
