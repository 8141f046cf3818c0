"""``__main__`` in a child that never ran the script.

A child gets the functions and classes of ``__main__`` by value, with the target that uses them (`pickling`). A name
that comes later and by reference, say in an object out of a queue, is looked up in the child's ``__main__``; if it is
not there, it is taken from the script itself, once:

* a script that guards its start with ``if __name__ == "__main__"`` is run as ``__mp_main__``, as `multiprocessing` does;
* of any other, only the imports, functions and classes are executed, never the statements that do something.
"""

from __future__ import annotations

import ast
import sys
import types
from typing import Any

__all__ = ["describe_main", "fresh_main"]

_FURNITURE = {"__path__", "__wrapped__", "__bases__", "__class__", "__spec__", "__signature__", "__test__"}


def describe_main() -> dict[str, str]:
    """What a child must know of our ``__main__`` to find its names: module name and file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    told: dict[str, str] = getattr(main, "__procession_main__", {})  # we are a child ourselves: hand on what we know
    if told:
        return told
    facts = {}
    if spec is not None and getattr(spec, "name", None):
        facts["name"] = spec.name
    if getattr(main, "__file__", None):
        facts["file"] = str(main.__file__)  # type: ignore[union-attr]
    if getattr(main, "__package__", None):
        facts["package"] = str(main.__package__)  # type: ignore[union-attr]
    return facts


class _Main(types.ModuleType):
    """The child's ``__main__``."""

    def __getattr__(self, name: str) -> Any:
        if not (name.startswith("__") and name.endswith("__")) and not self.__dict__.get("__procession_filled__"):
            self.__dict__["__procession_filled__"] = True
            _fill(self)
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module '__main__' has no attribute {name!r}")


def fresh_main(facts: dict[str, str]) -> types.ModuleType:
    """Put an empty ``__main__`` in place, that knows where its names are to be found."""
    main = _Main("__main__")
    main.__dict__["__procession_main__"] = facts
    main.__dict__["__builtins__"] = __builtins__
    if "file" in facts:
        main.__file__ = facts["file"]
    if "package" in facts:
        main.__package__ = facts["package"]
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    return main


def _fill(main: _Main) -> None:
    facts: dict[str, str] = main.__dict__["__procession_main__"]
    source = _source(facts)
    if source is None:
        return
    tree = ast.parse(source)
    if _guarded(tree):
        found = _run_guarded(facts)
    else:
        found = _run_definitions(tree, facts)
    for name, value in found.items():
        if name not in main.__dict__:
            main.__dict__[name] = value


def _source(facts: dict[str, str]) -> str | None:
    from importlib.util import find_spec

    path = facts.get("file")
    if "name" in facts and not path:
        spec = find_spec(facts["name"])
        path = spec.origin if spec else None
    try:
        with open(path or "", encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def _guarded(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and "__name__" in ast.dump(node.test) for node in tree.body)


def _run_guarded(facts: dict[str, str]) -> dict[str, Any]:
    import runpy

    if "name" in facts:
        return runpy.run_module(facts["name"], run_name="__mp_main__", alter_sys=False)
    return runpy.run_path(facts["file"], run_name="__mp_main__")


def _run_definitions(tree: ast.Module, facts: dict[str, str]) -> dict[str, Any]:
    kept = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    space: dict[str, Any] = {"__name__": "__main__", "__file__": facts.get("file"), "__builtins__": __builtins__}
    if "package" in facts:
        space["__package__"] = facts["package"]
    exec(compile(tree, facts.get("file", "<main>"), "exec"), space)
    return space
