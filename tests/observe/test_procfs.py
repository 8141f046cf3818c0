"""/proc, against what a process knows of itself."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from procession import _native
from procession.observe import procfs

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
