"""What `procession run` is asked to do, without click: importing that takes longer than a short program runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["Refused", "Wanted", "check", "quick", "split"]


class Wanted(NamedTuple):
    """One use of `procession run`."""

    kind: str  #: "script", "module" or "code"
    program: str  #: the path, the module's name, or the code
    args: list[str]
    quiet: bool = False
    report: str | None = None

    @property
    def name(self) -> str:
        """What the program is called in the process table."""
        if self.kind == "script":
            return os.path.basename(os.path.abspath(self.program)) if self.program != "-" else "<stdin>"
        return self.program if self.kind == "module" else "-c"

    @property
    def words(self) -> list[str]:
        """The arguments with which python itself runs it."""
        options = {"script": [], "module": ["-m"], "code": ["-c"]}[self.kind]
        program = self.program
        if self.kind == "script" and program.startswith("-") and program != "-":
            program = os.path.join(".", program)
        return [*options, program, *self.args]


class Refused(Exception):
    """It cannot be run; the message is one line that says why."""


def split(words: list[str]) -> tuple[list[str], tuple[str, list[str]] | None]:
    """Divide the words after `run` into our own options and (kind, the program and its arguments); the second part is
    None
    where no program is named. As for python, -m and -c end the options, and so does the first word that is none."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in ("-m", "-c"):
            return words[:at], ({"-m": "module", "-c": "code"}[word], words[at + 1 :])
        if word[:2] in ("-m", "-c") and word[:2] != "--":
            return words[:at], ({"-m": "module", "-c": "code"}[word[:2]], [word[2:], *words[at + 1 :]])
        if word == "--":
            return words[:at], ("script", words[at + 1 :])
        if word == "-" or not word.startswith("-"):
            return words[:at], ("script", words[at:])
        at += 2 if word == "--report" else 1
    return words, None


def quick(words: list[str]) -> Wanted | None:
    """Read the plain uses; None for all others (help, mistakes)."""
    options, rest = split(words)
    if rest is None or not rest[1]:
        return None
    quiet, report = False, None
    left = iter(options)
    for option in left:
        if option in ("-q", "--quiet"):
            quiet = True
        elif option.startswith("--report="):
            report = option.partition("=")[2]
        elif option == "--report":
            report = next(left, None)
        else:
            return None
    kind, (program, *args) = rest
    return None if report == "" else Wanted(kind, program, args, quiet, report)


def check(wanted: Wanted) -> None:
    """Raise Refused if it is plain that there is nothing to run. Nothing of the user's is executed."""
    if wanted.kind == "script" and wanted.program != "-":
        _check_script(wanted.program)
    elif wanted.kind == "module":
        _check_module(wanted.program)


def _check_script(path: str) -> None:
    try:
        if os.path.isdir(path):
            if not any(os.path.exists(os.path.join(path, "__main__.py" + end)) for end in ("", "c")):
                raise Refused(f"cannot run directory {path!r}: there is no __main__.py in it")
            return
        with open(path, "rb"):
            return
    except OSError as error:
        raise Refused(f"cannot run {path!r}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"cannot run {path!r}: {error}") from None


def _check_module(name: str) -> None:
    spec = _find(*name.split("."))
    if not spec:
        raise Refused(f"cannot run module {name!r}: there is none of that name")
    is_package = spec.submodule_search_locations is not None and not spec.name.endswith("__main__")
    if is_package and not _find(*name.split("."), "__main__"):
        raise Refused(f"cannot run module {name!r}: it is a package without a __main__")


def _find(top: str, *below: str) -> ModuleSpec | None:
    """Follow the name down its packages, on the path that the program will have, without importing any."""
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    ours = list(sys.path)
    if not sys.flags.safe_path:
        sys.path[:1] = [os.getcwd()]
    try:
        spec = find_spec(top) if top else None
        for name in below:
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(f"{spec.name}.{name}", [*spec.submodule_search_locations]) or _maybe(spec)
        return spec
    except (ImportError, ValueError, AttributeError):
        return None
    finally:
        sys.path[:] = ours


def _maybe(package: ModuleSpec) -> ModuleSpec | None:
    """A package that changes its own ``__path__`` has modules that only its import can find: do not refuse those."""
    try:
        with open(package.origin or "", "rb") as file:
            if b"__path__" in file.read():
                return type(package)(package.name + ".__main__", None)
    except OSError:
        pass
    return None
