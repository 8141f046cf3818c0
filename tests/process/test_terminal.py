"""Ctrl-C at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from procession.testing.watch import descendants_of, eventually, wait_gone


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
@pytest.mark.parametrize("how", ["join", "sleep"])
def test_ctrl_c_stops_a_program_with_three_children(program: Any, method: str, how: str) -> None:
    script = program.script(f"""
        import procession, time
        ctx = procession.get_context({method!r})
        ps = [ctx.Process(target=lambda: (print("up", flush=True), time.sleep(60))) for _ in range(3)]
        for p in ps: p.start()
        {"[p.join() for p in ps]" if how == "join" else "time.sleep(60)"}
    """)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(program.env)
        os.execv(sys.executable, [sys.executable, script])
    seen = read(terminal, lambda text: text.count("up") == 3)
    # A helper that is still starting up would print a traceback of its own: a known gap of its first 0.1 s.
    eventually(lambda: all(map(is_deaf, helpers_below(pid))) or method != "fork")
    below = descendants_of(pid)
    began = time.monotonic()
    os.write(terminal, b"\x03")
    seen += read(terminal, lambda text: False)
    _, status = os.waitpid(pid, 0)
    assert time.monotonic() - began < 3
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) in (-2, 130, 1), seen
    assert seen.count("Traceback") == 1, seen
    assert seen.count("KeyboardInterrupt") == 1, seen
    wait_gone(below, 3)


def helpers_below(pid: int) -> list[int]:
    return [who.pid for who in descendants_of(pid) if b"process.zygote" in Path(f"/proc/{who.pid}/cmdline").read_bytes()]


def is_deaf(pid: int) -> bool:
    """Whether it ignores SIGINT."""
    ignored = re.search(r"^SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) & 2)


def read(terminal: int, enough: Any) -> str:
    """What the terminal shows until it is enough, or its end."""
    text, deadline = "", time.monotonic() + 20
    while not enough(text) and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                text += os.read(terminal, 4096).decode()
            except OSError:  # the end of a pty
                break
    return text
