"""Nothing grows, nothing wakes up for nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import procession
from procession import _native
from procession.process.nursery import nursery
from procession.testing import leaks
from procession.testing.saboteurs import sleep_for_ever


def cycle(count: int) -> None:
    for _ in range(count):
        process = procession.Process(target=int)
        process.start()
        process.join()
        assert process.exitcode == 0


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def test_300_cycles_without_growth() -> None:
    cycle(30)
    before, slots = resident_kib(), len(_native.table_list())
    cycle(300)
    leaks.settle()
    assert resident_kib() - before < 1024
    assert len(_native.table_list()) <= slots + 8


def test_unjoined_processes_are_forgotten() -> None:
    from multiprocessing import process as mp_process

    for _ in range(200):
        procession.Process(target=int).start()
    assert len(mp_process._children) < 150  # type: ignore[attr-defined]
    for process in procession.active_children():
        process.join()


def test_200_alive_at_once() -> None:
    processes = [procession.Process(target=sleep_for_ever) for _ in range(200)]
    for process in processes:
        process.start()
    assert all(process.is_alive() for process in processes)
    assert len(procession.active_children()) == 200
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(30)
    assert {process.exitcode for process in processes} == {-signal.SIGTERM}


def switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_an_idle_program_sleeps() -> None:
    """No wake-up of the reaper, of the zygote or of a spare in two seconds, with a child alive."""
    process = procession.Process(target=sleep_for_ever)
    process.start()
    leaks.settle()
    helpers = sorted(nursery.helpers())
    assert len(helpers) >= 2
    previous: list[int] = []
    deadline = time.monotonic() + 20
    while (now := [_native.reaper_rings(), *map(switches, helpers)]) != previous and time.monotonic() < deadline:
        previous = now  # they have rehearsals to finish
        time.sleep(0.3)
    before = [_native.reaper_rings(), *map(switches, helpers)]
    time.sleep(2)
    assert [_native.reaper_rings(), *map(switches, helpers)] == before
    process.kill()
    process.join()


def test_a_child_holds_no_descriptors_of_its_own() -> None:
    """Besides the standard streams, a few of ours."""
    process = procession.Process(target=sleep_for_ever)
    process.start()
    time.sleep(0.1)
    assert len(os.listdir(f"/proc/{process.pid}/fd")) <= 10
    process.kill()
    process.join()
