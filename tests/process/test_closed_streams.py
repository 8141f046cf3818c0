"""Programs that run without standard streams, as daemons do."""

from __future__ import annotations

import sys
from typing import Any

import pytest


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-", "2>&-"])
def test_closed_streams(program: Any, method: str, closed: str, tmp_path: Any) -> None:
    import subprocess

    script = program.script(f"""
        import os, procession, sys
        def target():
            print("hello")
            seen = [os.path.exists(f"/proc/self/fd/{{n}}") for n in (1, 2)]
            with open({str(tmp_path / "seen")!r}, "w") as file:
                file.write(str(seen))
        p = procession.get_context({method!r}).Process(target=target)
        p.start()
        p.join()
        sys.exit(p.exitcode)
    """)
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} {script} {closed}"], env=program.env, timeout=30,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    seen = (tmp_path / "seen").read_text()
    if method != "fork" and "2>&-" not in closed:  # (a fork may put something of ours in its place)
        assert seen == str([">&-" not in closed, True])
