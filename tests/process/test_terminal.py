"""Ctrl-C at a terminal."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from typing import Any

import pytest

from procession.testing.watch import descendants_of, wait_gone


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
@pytest.mark.parametrize("how", ["join", "sleep"])
def test_ctrl_c_stops_a_program_with_three_children(program: Any, method: str, how: str) -> None:
    # (Many short sleeps: a signal that comes between Python's last look for one and the sleep waits until the sleep ends.)
    script = program.script(f"""
        import procession, time
        def sleep():
            for _ in range(600): time.sleep(0.1)
        ctx = procession.get_context({method!r})
        ps = [ctx.Process(target=lambda: (print("up", flush=True), sleep())) for _ in range(3)]
        for p in ps: p.start()
        {"[p.join() for p in ps]" if how == "join" else "sleep()"}
    """)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(program.env)
        os.execv(sys.executable, [sys.executable, script])
    seen = read(terminal, lambda text: text.count("up") == 3)
    below = descendants_of(pid)
    began = time.monotonic()
    os.write(terminal, b"\x03")
    seen += read(terminal, lambda text: False)
    _, status = os.waitpid(pid, 0)
    assert time.monotonic() - began < 10
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) in (-2, 130, 1), seen
    assert seen.count("Traceback") == 1, seen
    assert seen.count("KeyboardInterrupt") == 1, seen
    wait_gone(below, 3)


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
