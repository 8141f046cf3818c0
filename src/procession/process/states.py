"""The textbook's states of a process, ready, running and blocked, as the kernel shows them."""

from __future__ import annotations

import os
import time

from procession import _native
from procession.process.process import Times

__all__ = ["of_process", "own_times", "times_of"]

_SECOND = 1e9
#: The kernel's tick, in seconds: what its coarse clock counts in.
_TICK = time.clock_getres(6)  # CLOCK_MONOTONIC_COARSE, which `time` has no name for


def of_process(pid: int) -> str:
    """ "running", "ready", "blocked", "stopped" or "exited", for a process of any program.

    /proc says R both for a process on a processor and for one that waits for its turn. The two differ in that only the
    former's CPU clock moves (clock_getcpuclockid(3)). Others see it move at each tick: telling the two apart takes up to
    one, 1 to 10 ms; what neither runs nor is ready is told at once.
    """
    stat = _native.proc_stat(pid)
    if stat is None or stat[0] in "ZX":
        return "exited"
    if stat[0] in "tT":
        return "stopped"
    if stat[0] == "R" or _some_thread_runs(pid):
        return "running" if _clock_moves(pid) else "ready"
    return "blocked"


def _some_thread_runs(pid: int) -> bool:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        if len(threads) == 1:
            return False
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                if file.read().rpartition(b") ")[2][:1] == b"R":
                    return True
    except OSError:
        pass
    return False


def _clock_moves(pid: int) -> bool:
    clock = (~pid << 3) | 2  # the kernel's name for the CPU clock of a whole process
    try:
        before = time.clock_gettime_ns(clock)
        deadline = time.monotonic() + 1.25 * _TICK
        while time.monotonic() < deadline:
            time.sleep(_TICK / 8)
            if time.clock_gettime_ns(clock) > before:
                return True
    except OSError:
        pass
    return False


def times_of(child: _native.Child) -> Times:
    """Of a child of ours, living or ended."""
    run, ready, _, started, ended = child.figures
    if not ended:
        run, ready = _native.proc_sched(child.pid)
        record = _native.table_get(child.member)
        if record is not None:
            run, ready = run - record["run_base"], ready - record["ready_base"]
        ended = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return _times(run, ready, ended - started)


def own_times() -> Times:
    """Of the calling process, since it started."""
    stat = _native.proc_stat(os.getpid())
    assert stat is not None
    born = stat[2] * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    run, ready = _native.proc_sched(os.getpid())
    return _times(run, ready, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - born)


def _times(run: int, ready: int, age: int) -> Times:
    run, ready = max(run, 0), max(ready, 0)
    return Times(run / _SECOND, ready / _SECOND, max(age - run - ready, 0) / _SECOND)
