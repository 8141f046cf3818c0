"""Why a worker died."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procession.pool import obituary
from procession.pool.failures import WorkerDied
from procession.pool.obituary import Blackbox, describe


@pytest.mark.parametrize(
    ("exitcode", "name", "text"),
    [
        (-9, "SIGKILL", "the worker (pid 7) was killed by SIGKILL"),
        (-11, "SIGSEGV", "the worker (pid 7) was killed by SIGSEGV"),
        (-63, "signal 63", "the worker (pid 7) was killed by signal 63"),
        (3, None, "the worker (pid 7) ended with exit code 3"),
        (None, None, "the worker (pid 7) died"),
    ],
)
def test_an_exit_code_is_put_in_words(exitcode: int | None, name: str | None, text: str) -> None:
    facts = describe(7, exitcode, 100, None, None)
    assert (facts.signal, str(facts)) == (name, text)
    error = WorkerDied.of(facts)
    assert (error.signal, str(error), error.peak_memory) == (name, text, 102400)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``kernel(file, count)``: what the kernel tells of its killer, in that file."""
    (tmp_path / "self").mkdir()
    monkeypatch.setattr(obituary, "_PROC", str(tmp_path))
    monkeypatch.setattr(obituary, "_CGROUPS", str(tmp_path / "cgroup"))

    def tell(path: str, count: int, group: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"low 1\noom 9\noom_kill {count}\n")
        if group:
            (tmp_path / "self/cgroup").write_text(group)

    return tell


FILES = [
    ("vmstat", ""),
    ("cgroup/user/app/memory.events", "0::/user/app\n"),
    ("cgroup/memory.events", "0::/of/the/host\n"),
    ("cgroup/memory/app/memory.oom_control", "3:cpu,cpuacct:/\n4:memory:/app\n0::/\n"),
    ("cgroup/memory/memory.oom_control", "4:memory:/of/the/host\n"),
]


@pytest.mark.parametrize(("path", "group"), FILES)
def test_the_kernel_s_killer_is_named(kernel: Callable[..., None], path: str, group: str) -> None:
    kernel(path, 4, group)
    before = obituary.oom_kills()
    assert before == 4
    assert not describe(7, -9, 2 << 20, before, None).oom
    kernel(path, 5)
    facts = describe(7, -9, 2 << 20, before, None)
    assert facts.oom
    assert str(facts).endswith("by SIGKILL. The kernel's out-of-memory killer struck meanwhile; the worker had up to 2.0 GiB")
    assert WorkerDied.of(facts).oom
    assert not describe(7, -15, 2 << 20, before, None).oom, "it kills by SIGKILL"


@pytest.mark.usefixtures("kernel")
def test_a_kernel_that_tells_nothing_is_believed() -> None:
    assert obituary.oom_kills() is None
    assert not describe(7, -9, 0, None, None).oom
    assert not describe(7, -9, 0, 3, None).oom


def test_this_kernel_is_understood() -> None:
    count = obituary.oom_kills()
    assert count is None or count >= 0


# --- stacks ---


def crash_deep_inside(path: str, number: int) -> None:
    import os
    import resource

    from procession.pool import obituary

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    assert obituary.enable(path)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_its_stack(ctx: Any, number: int) -> None:
    box = Blackbox()
    process = ctx.Process(target=crash_deep_inside, args=(box.path, number))
    process.start()
    process.join(30)
    assert process.exitcode == -number
    stack = box.read()
    assert stack is not None
    assert "crash_deep_inside" in stack
    assert stack.startswith("Fatal Python error")
    box.close()
    assert box.read() is None


def test_a_death_without_a_word_leaves_none(ctx: Any) -> None:
    box = Blackbox()
    process = ctx.Process(target=crash_deep_inside, args=(box.path, signal.SIGKILL))
    process.start()
    process.join(30)
    assert box.read() is None
    box.close()
    box.close()


def test_a_worker_that_cannot_see_the_parent_goes_without(ctx: Any, ask: Any, tmp_path: Path) -> None:
    paths = ["", str(tmp_path / "nothing"), "/proc/1/fd/100000"]

    def job() -> Any:
        from procession.pool import obituary

        return [obituary.enable(path) for path in paths]

    assert ask(ctx, job) == [False, False, False]


def test_without_a_descriptor_left_there_is_no_box() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        box = Blackbox()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (box.path, box.read()) == ("", None)
    box.close()


def test_a_start_hardly_costs_anything(ctx: Any, ask: Any) -> None:
    def job() -> float:
        import time

        from procession.pool.obituary import Blackbox, enable

        def once() -> float:
            began = time.perf_counter()
            box = Blackbox()
            assert enable(box.path)
            spent = time.perf_counter() - began
            box.close()
            return spent

        return min(once() for _ in range(50))

    assert ask(ctx, job) < 100e-6
