"""The list of expected differences, which `scripts/conformance` uses, and docs/differences.md agree."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_leak_guard

ROOT = Path(__file__).parents[2]
DIFFERENCES = tomllib.loads((ROOT / "scripts" / "expected_differences.toml").read_text())["difference"]
SECTIONS = {
    section.partition("\n")[0].strip(): " ".join(section.split())
    for section in re.split(r"^## ", (ROOT / "docs" / "differences.md").read_text(), flags=re.MULTILINE)[1:]
}


def test_the_same_differences_in_the_same_order() -> None:
    assert [d["title"] for d in DIFFERENCES] == list(SECTIONS)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[d["title"] for d in DIFFERENCES])
def test_each_says_why_in_the_same_words_and_what_to_do(difference: dict[str, str]) -> None:
    section = SECTIONS[difference["title"]]
    assert f"Why: {difference['reason']}" in section
    assert "What to do: " in section


def named_in(source: Path) -> set[str]:
    classes = [node for node in ast.parse(source.read_text()).body if isinstance(node, ast.ClassDef)]
    return {f"{c.name}.{f.name}" for c in classes for f in c.body if isinstance(f, ast.FunctionDef)}


def sources(name: str) -> list[Path]:
    """The files of a module or package; none if this Python came without it."""
    spec = find_spec(name) if find_spec("test") else None
    if spec is None or spec.origin is None:
        return []
    return list(Path(spec.origin).parent.glob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]


def test_each_test_that_is_named_exists() -> None:
    pools = sources("test.test_concurrent_futures")  # (3.11 and 3.12 were released without installing it)
    places = [*sources("test._test_multiprocessing"), *pools]
    if not places:
        pytest.skip("this Python came without its tests")
    known = {test for source in places for test in named_in(source)}
    # (A pattern stands for a test that not every version of Python has.)
    named = {test for difference in DIFFERENCES for test in difference["tests"] if "*" not in test}
    assert named
    of_multiprocessing = {test for test in named if test.startswith(("_Test", "Test"))}
    assert (named if pools else of_multiprocessing) <= known
