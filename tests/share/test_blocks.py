"""Blocks by themselves: by several threads at once, and through a fork."""

from __future__ import annotations

import os
import threading

import pytest
from holders import back_to, used

from procession import _native
from procession.share import blocks


def test_threads_make_and_drop_them_side_by_side() -> None:
    before = used()

    def work() -> None:
        for _ in range(400):
            kept = [blocks.make(70_000), blocks.copy(b"x" * 70_000), blocks.make(10)]
            del kept

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    back_to(before)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_beside_threads_that_make_them() -> None:
    before, enough = used(), threading.Event()

    def work() -> None:
        while not enough.is_set():
            blocks.copy(b"x" * 100_000)

    kept = blocks.copy(b"kept" * 50_000)
    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            good = bytes(memoryview(kept)[:4]) == b"kept" and _native.holders(kept.place) is not None
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    enough.set()
    thread.join()
    del kept
    back_to(before)
