"""The measuring code, the same for all rivals. It runs in a rival's parent process, one command at a time.

All times are CLOCK_MONOTONIC nanoseconds. Making the process object is not measured, start() and join() are. Each
sample checks the child's exit code: a rival that is fast because it failed is an error, not a sample.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

from rivals import make_rival

__all__ = ["Measuring", "ballast", "finish", "own_facts", "serve"]

_PATIENCE_MS = 60_000


class Measuring:
    """One rival's parent: its ballast, its process class, and the commands by their names."""

    def __init__(self, rival: str, megabytes: int, modules: list[str], limits: str | None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="procession-bench-")
        self._ready, self._ready_fd = self._pipe("ready")
        self._release, self._release_fd = self._pipe("release")
        for module in modules:
            __import__(module)
        self._make = make_rival(rival, limits, self._ready)
        self._ballast = ballast(megabytes)
        self._held: list[Any] = []

    def _pipe(self, name: str) -> tuple[str, int]:
        path = os.path.join(self._directory.name, name)
        os.mkfifo(path)
        return path, os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def _process(self, target: str, *args: str) -> Any:
        return self._make(target=_target(target), args=args)

    def _stamps(self, count: int) -> list[int]:
        """Wait for as many children to report; the moments of their first lines."""
        data = b""
        poller = select.poll()
        poller.register(self._ready_fd, select.POLLIN)
        while len(data) < 8 * count:
            if not poller.poll(_PATIENCE_MS):
                raise TimeoutError(f"{len(data) // 8} of {count} children have reported")
            data += os.read(self._ready_fd, 8 * count - len(data))
        return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]

    # --- the questions ---

    def start_join(self, times: int = 1, target: str = "empty") -> list[int]:
        """Nanoseconds from before start() to after join(), `times` times with nothing in between."""
        return [self._start_join(target) for _ in range(times)]

    def _start_join(self, target: str) -> int:
        process = self._process(target)
        begin = time.monotonic_ns()
        process.start()
        process.join()
        end = time.monotonic_ns()
        finish(process, 0)
        return end - begin

    def first_line(self) -> list[int]:
        """Nanoseconds from before start() to the child's first line."""
        process = self._process("stamp", self._ready)
        begin = time.monotonic_ns()
        process.start()
        (first,) = self._stamps(1)
        process.join()
        finish(process, 0)
        return [first - begin]

    def burst(self, count: int) -> list[int]:
        """Nanoseconds for starting `count`, then joining them all."""
        processes = [self._process("empty") for _ in range(count)]
        begin = time.monotonic_ns()
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        end = time.monotonic_ns()
        for process in processes:
            finish(process, 0)
        return [end - begin]

    def kill_join(self, asleep: float = 0.005) -> list[int]:
        """Nanoseconds from before SIGKILL of an idle child to join() returning."""
        process = self._process("stand", self._ready, self._release)
        process.start()
        self._stamps(1)
        time.sleep(asleep)  # it has yet to fall asleep; the same for all
        begin = time.monotonic_ns()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        end = time.monotonic_ns()
        finish(process, -signal.SIGKILL)
        return [end - begin]

    # --- what is held while the driver looks ---

    def hold(self, count: int) -> list[int]:
        """Start `count` children that idle until `release`; their pids, once all are up."""
        processes = [self._process("stand", self._ready, self._release) for _ in range(count)]
        for process in processes:
            process.start()
            self._held.append(process)
        self._stamps(count)
        return [process.pid for process in processes]

    def release(self) -> int:
        """Let them end by themselves, and join them; how many there were."""
        held, self._held = self._held, []
        os.write(self._release_fd, b"x" * len(held))
        for process in held:
            process.join()
            finish(process, 0)
        return len(held)

    def facts(self) -> dict[str, int]:
        """Descriptors, threads and memory of this process."""
        gc.collect()
        return {"pid": os.getpid(), **own_facts()}

    def end(self) -> None:
        """Nothing of ours outlives us."""
        for process in self._held:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        self._directory.cleanup()


def _target(name: str) -> Callable[..., object]:
    """A function of ``__main__``; or, for ``by name``, one that every child has already and finds by its name."""
    if name == "by name":
        return os.getpid
    found: Callable[..., object] = getattr(sys.modules["__main__"], name)
    return found


def finish(process: Any, expected: int) -> None:
    if process.exitcode != expected:
        raise RuntimeError(f"the child's exit code is {process.exitcode}, not {expected}")
    process.close()


def own_facts() -> dict[str, int]:
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    return {
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
        "threads": int(status["Threads"]),
        "resident_kib": int(status["VmRSS"].split()[0]),
        "own_kib": int(status["RssAnon"].split()[0]),
        "shared_kib": int(status["RssShmem"].split()[0]),
    }


def ballast(megabytes: int) -> list[bytes]:
    """Small objects on the heap, until this process has `megabytes` resident."""
    missing = megabytes * 1024 - own_facts()["resident_kib"]
    return [b"\x01" * 4000 + i.to_bytes(4, "little") for i in range(missing * 1024 // 4056)] if missing > 0 else []


def serve(setting: str, measuring_class: Callable[..., Any] = Measuring) -> int:
    """Do what the driver says until it says no more. `setting`: JSON, the arguments of `Measuring` and the socket."""
    told = json.loads(setting)
    os.set_inheritable(told["control"], False)
    with socket.socket(fileno=told.pop("control")) as control, control.makefile("rw", encoding="utf-8") as lines:
        measuring = measuring_class(**told)
        print(json.dumps({"value": measuring.facts()}), file=lines, flush=True)
        try:
            for line in lines:
                print(json.dumps(_obey(measuring, json.loads(line))), file=lines, flush=True)
        finally:
            measuring.end()
    return 0


def _obey(measuring: Any, command: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": getattr(measuring, command.pop("do"))(**command)}
    except Exception:
        return {"error": traceback.format_exc()}
