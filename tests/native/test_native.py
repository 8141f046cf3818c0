"""The C tests of the native core, and the promise that ``native/README.md`` states the bytes as they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native"
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is needed to build the C tests")


@needs_gcc
@pytest.mark.skipif(bool(os.environ.get("PROCESSION_SHORT")), reason="CI runs them beside these tests")
@pytest.mark.parametrize("kind", ["plain", "steps"])
def test_c_programs(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "native-tests", kind], capture_output=True, text=True, timeout=280
    )
    last = done.stdout.strip().splitlines()[-1:]
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed", last[0]), done.stdout


def stated() -> dict[str, tuple[int, int]]:
    """Offset and size of all that the README's tables name, as {"record.pid": (8, 4), ...}."""
    found: dict[str, tuple[int, int]] = {}
    for line in (NATIVE / "README.md").read_text().splitlines():
        if match := re.match(r"\|\s*`([a-z_]+(?:\.[a-z_]+)?)`\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|", line):
            found[match[1]] = (int(match[2]), int(match[3]))
    return found


@needs_gcc
def test_the_readme_states_the_bytes_as_they_are(tmp_path: Path) -> None:
    program = tmp_path / "offsets"
    subprocess.run(["gcc", "-std=c11", NATIVE / "test" / "offsets.c", "-o", program], check=True, timeout=60)
    printed = subprocess.run([program], capture_output=True, text=True, check=True, timeout=10).stdout
    true = {name: (int(offset), int(size)) for name, offset, size in map(str.split, printed.splitlines())}
    assert stated() == true


def test_offsets_prints_every_field() -> None:
    """So that a field added to a struct cannot be forgotten in the README."""
    program = (NATIVE / "test" / "offsets.c").read_text()
    structs = {
        "commons": "commons.h", "obituary": "commons.h", "record": "table.h", "cell": "cells.h", "wait": "waits.h",
        "queue": "queue.h", "segment": "queue.h",
    }  # fmt: skip
    for struct, header in structs.items():
        body = re.search(rf"^struct {struct} {{(.*?)^}};", (NATIVE / header).read_text(), re.S | re.M)
        assert body is not None
        fields = re.findall(r"^    [\w ]+?\b(\w+)(?:\[\w+\])?;", body[1], re.M)
        assert len(fields) > 5
        for field in (field for field in fields if not re.fullmatch(r"pad\d", field)):
            assert f"FIELD({struct}, {field})" in program


def test_every_name_of_the_crash_table_is_a_step() -> None:
    """Each step that the README explains is one where the tests kill."""
    text = (NATIVE / "README.md").read_text().split("## Crash table", 1)[1]
    named = set(re.findall(r"^\| \"([^\"]+)\"", text, re.M))
    sources = [*NATIVE.glob("*.c"), *NATIVE.glob("*.h")]
    steps = {step for source in sources for step in re.findall(r'pn_step\("([^"]+)"\)', source.read_text())}
    assert named == steps
