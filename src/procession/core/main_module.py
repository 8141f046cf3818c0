"""``__main__`` in a child that never ran the script.

A child gets the functions and classes of ``__main__`` by value, with the target that uses them (`pickling`). A name
that comes later and by reference, say in an object out of a queue, is looked up in the child's ``__main__``; if it is
not there, it is taken from the script itself, once:

* a script that guards its start with ``if __name__ == "__main__"`` is run as ``__mp_main__``, as `multiprocessing` does;
* of any other, only the imports, functions and classes are executed, never the statements that do something.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

__all__ = ["describe_main", "fresh_main"]


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
    import ast

    facts: dict[str, str] = main.__dict__["__procession_main__"]
    source, code = _program(facts)
    tree = None if source is None else ast.parse(source)
    if tree is None and code is None:
        return
    if _guarded(tree) if tree is not None else _guarded_code(code):
        found = _run_guarded(facts)
    elif tree is not None:
        found = _run_definitions(tree, facts)
    else:
        return  # compiled, and without a guard: what defines cannot be told from what does something
    for name, value in found.items():
        if name not in main.__dict__:
            main.__dict__[name] = value


def _program(facts: dict[str, str]) -> tuple[str | None, types.CodeType | None]:
    """Source and code of the script, as far as they exist: it may be compiled, in an archive, or without a suffix."""
    from importlib.util import find_spec

    path = facts.get("file", "")
    try:
        spec = find_spec(facts["name"]) if _is_module(facts) else _spec_beside(path)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            return loader.get_source(spec.name), loader.get_code(spec.name)
        with open(path, encoding="utf-8") as file:
            return file.read(), None
    except (OSError, ImportError, UnicodeDecodeError, SyntaxError):
        return None, None


def _is_module(facts: dict[str, str]) -> bool:
    """Whether it was started by its module's name; a folder or an archive that is run has "__main__"."""
    return facts.get("name", "__main__") != "__main__"


def _spec_beside(path: str) -> Any:
    """The spec of the script as a module of the folder or archive that it lies in."""
    import os.path
    import pkgutil

    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    finder: Any = pkgutil.get_importer(folder or os.curdir)
    spec = finder.find_spec(stem) if finder is not None and suffix in (".py", ".pyc") else None
    return spec if spec is not None and spec.origin and os.path.basename(spec.origin) == name else None


def _guarded(tree: ast.Module) -> bool:
    import ast

    return any(isinstance(node, ast.If) and "__name__" in ast.dump(node.test) for node in tree.body)


def _guarded_code(code: types.CodeType | None) -> bool:
    return code is not None and "__name__" in code.co_names and "__main__" in code.co_consts


def _run_guarded(facts: dict[str, str]) -> dict[str, Any]:
    import os.path
    import runpy

    if _is_module(facts):
        return runpy.run_module(facts["name"], run_name="__mp_main__", alter_sys=False)
    path = facts["file"]
    return runpy.run_path(path if os.path.exists(path) else os.path.dirname(path), run_name="__mp_main__")


def _run_definitions(tree: ast.Module, facts: dict[str, str]) -> dict[str, Any]:
    import ast

    kept = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    space: dict[str, Any] = {"__name__": "__main__", "__file__": facts.get("file"), "__builtins__": __builtins__}
    if "package" in facts:
        space["__package__"] = facts["package"]
    exec(compile(tree, facts.get("file", "<main>"), "exec"), space)
    return space
