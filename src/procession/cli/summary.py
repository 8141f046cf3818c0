"""What a family did in its life: collected at its end, told as text and as JSON.

The report of `procession run --report` is one JSON object:

    version           1
    family            the family's number
    program, kind     what was run, and as what: "script", "module" or "code"
    pid               of the program
    exit_status       of the runner: the program's own, or 128 + N for signal N
    signal            name of the signal that ended the program, or null
    wall_seconds      from the program's start to its end
    started           processes started, the program among them (what `subprocess` or os.fork() started is not counted)
    most_alive        most of them alive at once
    failed            how many ended with an exit code other than 0
    killed            how many were ended by a signal that their family had not sent
    left_over         how many were there when what had started them was gone, and were ended for that
    running_seconds, ready_seconds, blocked_seconds
                      sums over all of them: on a processor, waiting for one, waiting for anything else (main threads)
    cpu_seconds       of the program and of all that it waited for, all threads
    peak_kib          largest memory of one process at one time
    processes         those that ended badly, the last 256: name, pid, end ("failed", "killed", "left over", or
    "terminated":
                      ended by a signal that the family sent), exit_code (-N for signal N), signal, running_seconds,
                      peak_kib
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import Any, NamedTuple, TextIO

from procession import _native
from procession.cli.arguments import Wanted
from procession.cli.leavings import LeftOver

__all__ = ["Ended", "collect", "print_text", "write_report"]

_SECOND = 1e9
_NAMED = 10  #: of each kind, in the text


class Ended(NamedTuple):
    """How the program ended."""

    pid: int
    status: int  #: as wait(2) gives it
    usage: resource.struct_rusage
    run: int  #: ns
    ready: int
    blocked: int

    @classmethod
    def of(cls, pid: int, member: int) -> Ended:
        """Take the figures of the zombie, and reap it."""
        run, ready = _native.proc_sched(pid)
        record = _native.table_get(member)
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record["born"] if record else 0
        _, status, usage = os.wait4(pid, 0)
        return cls(pid, status, usage, run, ready, max(0, age - run - ready))

    @property
    def exit_status(self) -> int:
        code = os.waitstatus_to_exitcode(self.status)
        return code if code >= 0 else 128 - code

    @property
    def bad(self) -> bool:
        return self.status != 0


def collect(wanted: Wanted, ended: Ended, orphans: list[LeftOver], seconds: float) -> dict[str, Any]:
    """The report as a dict."""
    facts = _native.commons_facts()
    processes = _processes(wanted, ended, orphans)
    known = {one[1] for one in _native.commons_obituaries() if one[3] & _native.LEFT_OVER}
    code = os.waitstatus_to_exitcode(ended.status)
    return {
        "version": 1,
        "family": facts["family"],
        "program": wanted.program,
        "kind": wanted.kind,
        "pid": ended.pid,
        "exit_status": ended.exit_status,
        "signal": _signal_name(code),
        "wall_seconds": round(seconds, 6),
        "started": facts["started"],
        "most_alive": facts["most_alive"],
        "failed": facts["failed"] + (code > 0),
        "killed": facts["killed"] + (code < 0),
        "left_over": facts["left_over"] + sum(one.pid not in known for one in orphans),
        "running_seconds": (facts["run_time"] + ended.run) / _SECOND,
        "ready_seconds": (facts["ready_time"] + ended.ready) / _SECOND,
        "blocked_seconds": (facts["blocked_time"] + ended.blocked) / _SECOND,
        "cpu_seconds": round(ended.usage.ru_utime + ended.usage.ru_stime, 6),
        "peak_kib": max(facts["peak_kib"], ended.usage.ru_maxrss),
        "processes": processes,
    }


def _processes(wanted: Wanted, ended: Ended, orphans: list[LeftOver]) -> list[dict[str, Any]]:
    found = [
        _process(name, pid, status, _end(status, flags), run, peak)
        for name, pid, status, flags, run, peak in _native.commons_obituaries()
    ]
    known = {one["pid"] for one in found if one["end"] == "left over"}
    found += [_process(*one, "left over", 0, 0) for one in orphans if one.pid not in known]
    if ended.bad:
        end = _end(ended.status, 0)
        found.append(_process(wanted.name, ended.pid, ended.status, end, ended.run, ended.usage.ru_maxrss))
    return found


def _end(status: int, flags: int) -> str:
    if flags & _native.LEFT_OVER:
        return "left over"
    if not os.WIFSIGNALED(status):
        return "failed"
    return "terminated" if flags & _native.TERMINATED else "killed"


def _process(name: str, pid: int, status: int, end: str, run: int, peak: int) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(status)
    return {
        "name": name,
        "pid": pid,
        "end": end,
        "exit_code": code,
        "signal": _signal_name(code),
        "running_seconds": run / _SECOND,
        "peak_kib": peak,
    }


def _signal_name(code: int) -> str | None:
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"  # a real-time one


def write_report(told: dict[str, Any], file: TextIO) -> None:
    """Write it in place of what was in the file, and close that."""
    import json

    try:
        with file:
            if file.seekable():
                file.truncate(0)
            json.dump(told, file, indent=2)
            file.write("\n")
    except OSError as error:
        print(f"procession run: the report could not be written: {error}", file=sys.stderr)


def print_text(told: dict[str, Any]) -> None:
    """Print it on stderr; in colours if that is a terminal."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    try:
        for line in _lines(told, colour):
            print(line, file=sys.stderr)
    except (OSError, ValueError):
        return  # nobody reads it any more


def _lines(told: dict[str, Any], colour: bool) -> list[str]:
    bold, red, plain = ("\x1b[1m", "\x1b[31m", "\x1b[0m") if colour else ("", "", "")
    bad = [f"{red}{told[key]} {text}{plain}" for key, text in _COUNTS if told[key]]
    counts = ", ".join([f"at most {told['most_alive']} alive at once", *(bad or ["none failed"])])
    lines = [f"{bold}procession:{plain} {_plural(told['started'], 'process', 'processes')} started, {counts}"]
    for end in ("failed", "killed", "left over"):
        lines += _named(end, [one for one in told["processes"] if one["end"] == end])
    lines.append(
        f"  running {_seconds(told['running_seconds'])}, ready {_seconds(told['ready_seconds'])}, "
        f"blocked {_seconds(told['blocked_seconds'])}, in {_seconds(told['wall_seconds'])}; "
        f"peak memory {told['peak_kib'] / 1024:.1f} MiB"
    )
    return lines


_COUNTS = (("failed", "failed"), ("killed", "killed"), ("left_over", "left over"))


def _named(end: str, which: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {end + ':':<10} {one['name']} (pid {one['pid']}), {_how(one)}" for one in which[:_NAMED]]
    return lines + ([f"  {'':<10} and {len(which) - _NAMED} more"] if len(which) > _NAMED else [])


def _how(one: dict[str, Any]) -> str:
    if one["end"] == "left over":
        return "ended with the family"
    return one["signal"] or f"exit code {one['exit_code']}"


def _plural(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"
