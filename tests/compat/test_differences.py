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


def test_each_test_that_is_named_exists() -> None:
    spec = find_spec("test._test_multiprocessing")
    if spec is None or spec.origin is None:
        pytest.skip("this Python came without its tests")
    classes = [node for node in ast.parse(Path(spec.origin).read_text()).body if isinstance(node, ast.ClassDef)]
    known = {f"{c.name}.{f.name}" for c in classes for f in c.body if isinstance(f, ast.FunctionDef)}
    # (A pattern stands for a test that not every version of Python has.)
    named = {test for difference in DIFFERENCES for test in difference["tests"] if "*" not in test}
    assert named
    assert named <= known
