"""The child sees the parent's world as it is at the moment of start()."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import procession


@pytest.fixture(autouse=True)
def warm(ctx: Any) -> None:
    """The zygote is older than what the tests change."""
    process = ctx.Process()
    process.start()
    process.join()


@contextmanager
def file_at(fd: int, path: Any) -> Iterator[None]:
    """Redirect a descriptor to a file, below everything in Python."""
    saved, file = os.dup(fd), os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(file, fd)
    os.close(file)
    try:
        yield
    finally:
        os.dup2(saved, fd)
        os.close(saved)


def test_environment(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_TEST_NEW", "ä=b")
    monkeypatch.delenv("PATH")
    assert ask(ctx, lambda: (os.environ.get("PROCESSION_TEST_NEW"), os.environ.get("PATH"))) == ("ä=b", None)


def test_environment_reaches_programs_that_the_child_starts(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_TEST_NEW", "deep")

    def echo() -> str:
        import subprocess

        return subprocess.run(["sh", "-c", "echo $PROCESSION_TEST_NEW"], capture_output=True, text=True).stdout

    assert ask(ctx, echo) == "deep\n"


def test_directory(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert ask(ctx, os.getcwd) == str(tmp_path / "here")


def test_a_directory_that_is_gone_is_no_hindrance(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "gone").mkdir()
    if ctx.get_start_method() == "spawn" and sys.version_info[:3] == (3, 13, 0):
        pytest.xfail("Python 3.13.0 itself fails to import socket, started in a directory that is gone")
    monkeypatch.delenv("PYTHONPATH", raising=False)  # a relative one keeps Python itself from starting
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ask(ctx, lambda: 5) == 5


def test_umask(ctx: Any, ask: Any) -> None:
    old = os.umask(0o137)
    try:
        assert ask(ctx, lambda: os.umask(0)) == 0o137
    finally:
        os.umask(old)


def test_path_and_arguments(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/no/such/folder"])
    monkeypatch.setattr(sys, "argv", ["prog", "--x"])
    path, argv = ask(ctx, lambda: (__import__("sys").path[-1], __import__("sys").argv))
    assert (path, argv) == ("/no/such/folder", ["prog", "--x"])


def test_a_module_on_a_new_path_can_be_imported(ctx: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "fresh_module.py").write_text("def f(): return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    import fresh_module  # type: ignore[import-not-found]

    assert ask(ctx, fresh_module.f) == 42
    del sys.modules["fresh_module"]


@pytest.mark.parametrize("fd", [1, 2])
def test_streams_redirected_at_descriptor_level(ctx: Any, fd: int, tmp_path: Any, capfd: Any) -> None:
    def target() -> None:
        import subprocess
        import sys

        print("python", file=(sys.stdout, sys.stderr)[fd - 1], flush=True)
        subprocess.run(["sh", "-c", f"echo shell >&{fd}"], check=True)

    with capfd.disabled(), file_at(fd, tmp_path / "redirected"):
        process = ctx.Process(target=target)
        process.start()
        process.join()
    assert process.exitcode == 0
    assert (tmp_path / "redirected").read_text() == "python\nshell\n"


def test_captured_streams(ctx: Any, capfd: Any) -> None:
    process = ctx.Process(target=print, args=("captured",))
    process.start()
    process.join()
    assert capfd.readouterr().out == "captured\n"


def test_standard_input_is_empty_by_default(ctx: Any, ask: Any) -> None:
    def read() -> str:
        try:
            return input()
        except EOFError:
            return "EOFError"

    assert ask(ctx, read) == "EOFError"


@pytest.mark.parametrize("form", ["text", "bytes", "descriptor", "file", "pipe", "memory", "big"])
def test_standard_input(ctx: Any, ask: Any, form: str, tmp_path: Any) -> None:
    import io

    (tmp_path / "in").write_text("one\ntwo\n")
    (tmp_path / "work").mkdir()
    want, closing = ["one", "two"], []
    if form == "text":
        given: Any = "one\ntwo\n"
    elif form == "bytes":
        given = b"one\ntwo\n"
    elif form == "big":
        given, want = "one\n" * 300_000, ["one"] * 300_000
    elif form == "memory":
        given = io.StringIO("one\ntwo\n")
    elif form == "pipe":
        given, write = os.pipe()
        os.write(write, b"one\ntwo\n")
        os.close(write)
        closing = [given]
    else:
        file = open(tmp_path / "in")
        given = file if form == "file" else os.dup(file.fileno())
        closing = [given] if form == "descriptor" else []

    def read() -> list[str]:
        import sys

        return [input(), *sys.stdin.read().split()]

    assert ask(ctx, read, stdin=given) == want
    for fd in closing:
        os.close(fd)
    if form in ("file", "descriptor"):
        file.close()


def test_limits(ctx: Any, ask: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 11, hard))
    try:
        assert ask(ctx, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)) == (soft - 11, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_affinity(ctx: Any, ask: Any) -> None:
    allowed = os.sched_getaffinity(0)
    one = {max(allowed)}
    os.sched_setaffinity(0, one)
    try:
        assert ask(ctx, lambda: (os.sched_getaffinity(0), procession.cpu_count())) == (one, 1)
    finally:
        os.sched_setaffinity(0, allowed)


def test_niceness(program: Any) -> None:
    for method in ("zygote", "fork", "spawn"):
        done = program.run("-c", f"""if 1:
            import os, procession
            ctx = procession.get_context({method!r})
            p = ctx.Process(); p.start(); p.join()
            os.nice(3)
            p = ctx.Process(target=lambda: print(os.nice(0))); p.start(); p.join()""")
        assert done.stdout == f"{os.nice(0) + 3}\n", (method, done.stderr)


def test_signal_handlers_and_mask_are_those_of_a_fresh_process(ctx: Any, ask: Any) -> None:
    """As after exec: handlers are gone, the mask is empty, and what is ignored (nohup) stays ignored."""

    def facts() -> Any:
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD)}
        ints = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return {int(n): str(h) for n, h in handlers.items()}, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), ints

    old = {n: signal.signal(n, handler) for n, handler in
           ((signal.SIGTERM, lambda *_: None), (signal.SIGUSR1, lambda *_: None), (signal.SIGHUP, signal.SIG_IGN))}  # fmt: skip
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
    try:
        handlers, blocked, ints = ask(ctx, facts)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in old.items():
            signal.signal(number, handler)
    assert handlers.pop(signal.SIGHUP) == str(signal.SIG_IGN)
    assert set(handlers.values()) == {str(signal.SIG_DFL)}
    assert blocked == []
    assert ints


def test_the_parent_is_who_called_start(ctx: Any, ask: Any) -> None:
    assert ask(ctx, os.getppid) == os.getpid()
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(ask(ctx, os.getppid)))
    thread.start()
    thread.join()
    assert seen == [os.getpid()]


def test_nested_four_deep(ctx: Any, ask: Any, tmp_path: Any) -> None:
    (tmp_path / "deep").mkdir()
    folder, method = tmp_path / "deep", ctx.get_start_method()

    def descend(depth: int) -> None:
        (folder / f"{depth}-{os.getpid()}-{os.getppid()}").touch()
        if depth < 4:
            process = procession.get_context(method).Process(target=descend, args=(depth + 1,))
            process.start()
            process.join()
            assert process.exitcode == 0

    ask(ctx, descend, 1)
    chain = sorted(tuple(map(int, name.split("-"))) for name in os.listdir(folder))
    assert [depth for depth, _, _ in chain] == [1, 2, 3, 4]
    assert [parent for _, _, parent in chain] == [os.getpid(), *[pid for _, pid, _ in chain[:3]]]


def test_eight_threads_start_25_each_at_once(tmp_path: Any) -> None:
    ctx = procession.get_context("zygote")
    codes: list[int | None] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait()
        for i in range(25):
            process = ctx.Process(target=os._exit, args=((number * 25 + i) % 256,))
            process.start()
            process.join()
            codes.append(process.exitcode)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(200))  # type: ignore[type-var]


def test_random_numbers_differ_between_children(ctx: Any, ask: Any) -> None:
    def draw() -> float:
        import random

        return random.random()

    assert ask(ctx, draw) != ask(ctx, draw)


def test_descriptors_of_the_parent_are_not_inherited(ctx: Any, ask: Any) -> None:
    if ctx.get_start_method() == "fork":
        pytest.skip("a fork is a copy, descriptors included, as in multiprocessing")
    read, write = os.pipe()
    os.set_inheritable(write, True)
    targets = ask(ctx, lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                                if os.path.islink(f"/proc/self/fd/{fd}")])  # fmt: skip
    mine = os.readlink(f"/proc/self/fd/{write}")
    os.close(read)
    os.close(write)
    assert mine not in targets
