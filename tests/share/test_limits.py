"""At a container's limit: MemoryError at the call, and the program goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 160 << 20
PLACES = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a limit, for one program to enter."""
    for place, limit in PLACES:
        path = Path(place, f"procession-test-{os.getpid()}")
        try:
            path.mkdir()
            (path / limit).write_text(str(LIMIT))
        except OSError:
            if path.exists():
                path.rmdir()
            continue
        yield path
        path.rmdir()
        return
    pytest.skip("no control group can be made here: only root can, and not in every container")


def test_beyond_the_limit_of_a_container(program: Any, group: Path) -> None:
    program.env.pop("PROCESSION_MEMBER", None)
    result = program.run_script(
        f"""
        import os
        with open({str(group / "cgroup.procs")!r}, "w") as file:
            file.write(str(os.getpid()))
        import procession
        kept = []
        for size in (8 << 20, 1 << 20, 1 << 16):
            try:
                while True:
                    kept.append(procession.RawArray("b", size))
                    for i in range(0, size, 4096):
                        kept[-1][i] = 1
            except MemoryError as error:
                print(error)
        del kept[::2]
        kept.append(procession.RawArray("b", 8 << 20))
        print("and on")
        """
    )
    assert (result.returncode, result.stderr) == (0, "")
    *refused, last = result.stdout.splitlines()
    assert len(refused) == 3
    assert all(line.startswith("no shared memory for") for line in refused)
    assert last == "and on"
