"""/proc, against what a process knows of itself."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from procession import _native
from procession.observe import procfs
from procession.testing import saboteurs, watch

GONE = 999_999_999


def test_stat_of_ourselves() -> None:
    stat = procfs.stat(os.getpid())
    assert stat is not None
    assert (stat.pid, stat.parent, stat.group) == (os.getpid(), os.getppid(), os.getpgrp())
    native = _native.proc_stat(os.getpid())
    assert native is not None
    assert native[2] == stat.start_time
    assert stat.cpu == pytest.approx(time.process_time(), abs=0.2)


def test_a_name_with_brackets(tmp_path: object) -> None:
    path = f"{tmp_path}/a) R (b"
    os.symlink("/bin/sleep", path)
    with subprocess.Popen([path, "3600"]) as process:
        stat = procfs.stat(process.pid)
        children = procfs.children(os.getpid())
        process.kill()
    assert stat is not None
    assert (stat.name, stat.parent) == ("a) R (b", os.getpid())
    assert process.pid in children


def test_what_is_gone_is_not_there() -> None:
    assert procfs.stat(GONE) is None
    assert procfs.children(GONE) == []
    assert procfs.environment(GONE, "PATH") is None
    assert procfs.command(GONE) == ""
    assert procfs.memory_kib(GONE) == 0
    assert not procfs.is_plain(GONE)


def test_one_whose_first_thread_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc calls it a zombie, and shows what it has only among its other threads."""
    monkeypatch.setenv("KEY", "value")
    (pid,) = saboteurs.leave_descendants("headless")
    try:
        stat, native = procfs.stat(pid), _native.proc_stat(pid)
        assert stat is not None
        assert native is not None
        assert stat.letter == native[0] == "S"
        assert procfs.environment(pid, "KEY") == "value"
        assert "ctypes" in procfs.command(pid)
        assert procfs.is_plain(pid)
        assert watch.is_running(watch.Identity(pid, stat.start_time))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_environment_command_and_memory() -> None:
    with subprocess.Popen(["sleep", "3600"], env={"KEY": "a=b", "KEYS": "no"}) as process:
        while not procfs.command(process.pid).startswith("sleep"):  # (until it has exec'd)
            time.sleep(0.001)
        try:
            assert procfs.environment(process.pid, "KEY") == "a=b"
            assert procfs.environment(process.pid, "KE") is None
            assert procfs.command(process.pid) == "sleep 3600"
            assert 10 < procfs.memory_kib(process.pid) < 100_000
            assert procfs.is_plain(process.pid)
        finally:
            process.kill()
