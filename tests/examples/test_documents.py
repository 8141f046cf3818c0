"""What the documents show runs: each block of Python, as a script of its own, prints the block of text that follows it.

A block that begins ``python no-run`` is only compiled: it needs a terminal, or never ends.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from script_runner import ROOT, run_script

import procession

DOCUMENTS = [
    "README.md", "README.zh-CN.md", "docs/tutorial.md", "docs/howto.md", "docs/reference.md", "docs/glossary.md",
]  # fmt: skip
_BLOCK = re.compile(
    r"^```python(?P<norun> no-run)?\n(?P<code>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")


class Block(NamedTuple):
    name: str
    code: str
    text: str | None
    runs: bool


def blocks() -> list[Block]:
    found = []
    for document in DOCUMENTS:
        source = (ROOT / document).read_text(encoding="utf-8")
        for match in _BLOCK.finditer(source):
            line = source.count("\n", 0, match.start()) + 1
            found.append(Block(f"{document}:{line}", match["code"], match["text"], not match["norun"]))
    return found


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.name)
def test_block(block: Block, tmp_path: Path) -> None:
    compile(block.code, block.name, "exec")
    if not block.runs:
        return
    script = tmp_path / "block.py"
    script.write_text(block.code, encoding="utf-8")
    result = run_script("python", script)
    assert result.returncode == 0, result.stderr
    if block.text is not None:
        assert result.stdout == block.text


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
def test_readme_shows_the_promises(document: str) -> None:
    """Seven sections, each with code that runs."""
    source = (ROOT / document).read_text(encoding="utf-8")
    sections = re.split(r"^###? ", source, flags=re.MULTILINE)
    promises = [section for section in sections if re.match(r"[1-7]\. ", section)]
    assert [section[0] for section in promises] == list("1234567")
    assert all("```python\n" in section for section in promises)


def anchor_of(heading: str) -> str:
    """As the usual viewers make it."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for link in _LINK.finditer(path.read_text(encoding="utf-8")):
        target = (path.parent / link["path"]).resolve() if link["path"] else path
        assert target.exists(), f"{document}: {link[0]}"
        if link["anchor"]:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert link["anchor"] in map(anchor_of, headings), f"{document}: {link[0]}"


def test_reference_is_complete() -> None:
    """It has every public name of the package and of Process."""
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", reference))))
    public = {name for name in dir(procession.Process) if not name.startswith("_")} | set(procession.__all__)
    assert not public - named
