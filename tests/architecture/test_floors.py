"""The house is built as `procession/__init__.py` says: each file imports only from its own room or from lower floors."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import procession

HOUSE = Path(procession.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

#: Modules of the standard library's names, which only say where they are.
ALIASES = ("connection", "managers", "queues", "shared_memory", "sharedctypes")


def floors() -> dict[str, int]:
    """Room -> floor, as the picture in the package's docstring has them."""
    picture = re.findall(r"^ {4}(\d)  (\w+)  ", procession.__doc__ or "", re.MULTILINE)
    return {room: int(floor) for floor, room in picture}


def room_of(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return parts[0]


def imports_of(path: Path) -> set[str]:
    """Rooms that a file imports from, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "procession":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("procession."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("procession.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
    return found


def test_the_picture_names_rooms_that_exist() -> None:
    rooms = floors()
    assert len(rooms) >= 6
    for room in rooms:
        assert (HOUSE / room).is_dir() or (HOUSE / f"{room}.pyi").exists(), room


def test_every_room_is_in_the_picture() -> None:
    built = {path.name for path in HOUSE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert built <= set(floors())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_come_from_the_same_room_or_below(path: Path) -> None:
    rooms = floors()
    room = room_of(path)
    if room in ("__init__", "__main__", *ALIASES):
        return  # the roof: it may see all
    here = rooms.get(room, 0)  # (errors.py lies on the ground)
    for other in imports_of(path):
        if other == room or (other not in rooms and other == "errors"):
            continue
        if other not in rooms:
            assert hasattr(procession, other) or (HOUSE / f"{other}.py").exists(), f"{path.name} imports {other}"
            continue
        if rooms[other] > here:
            assert is_deferred(path, other), f"{room} (floor {here}) imports {other} (floor {rooms[other]})"


#: Upward look-ups by name at run time, each with its reason.
DEFERRED = {
    ("process", "sync"): "a context makes what the rooms above it know how to make",
    ("process", "share"): "the same",
    ("process", "pool"): "the same",
    ("errors", "pool"): "two errors of pools derive from what takes long to import",
    ("process", "compat"): "a helper stands in for multiprocessing if its parent does",
}


def is_deferred(path: Path, other: str) -> bool:
    """Whether all imports of `other` are inside functions, and known."""
    if (room_of(path), other) not in DEFERRED:
        return False
    top = ast.parse(path.read_text()).body
    names = {getattr(node, "module", None) for node in top if isinstance(node, ast.ImportFrom)}
    return not any(name and name.startswith(f"procession.{other}") for name in names)


def test_files_are_short() -> None:
    """50 to 250 lines, as a rule; none may grow without an end."""
    long = {path.name: size for path in FILES if (size := len(path.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize("module", ["cloudpickle", "numpy", "click", "asyncio", "subprocess", "rich"])
def test_the_base_import_is_light(module: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(HOUSE.parent)!r}); import procession; print({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-E", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_names_in_the_picture_of_the_process_room_exist() -> None:
    from procession.process import __doc__ as picture

    assert picture is not None
    for module in re.findall(r"^`(\w+)`|, `(\w+)`", picture, re.MULTILINE):
        name = module[0] or module[1]
        assert (HOUSE / "process" / f"{name}.py").exists(), name
