"""Deaths of workers, Ctrl-C, and the end of the program: each block ends, and the queue goes on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import Any

import pytest
from gates import LIMIT

import procession
from procession import DispatchQueue, WorkerDied
from spans import same


def test_a_death_ends_its_block_not_the_queue() -> None:
    queue, out = DispatchQueue("serial"), procession.SimpleQueue()
    futures = [queue.async_(out.put, i) for i in range(10)]
    futures.append(queue.async_(os._exit, 3))
    futures += [queue.async_(out.put, i) for i in range(10, 20)]
    assert isinstance(futures[10].exception(LIMIT), WorkerDied)
    assert [future.exception(LIMIT) for future in futures[:10] + futures[11:]] == [None] * 20
    assert [out.get() for _ in range(20)] == list(range(20))


def test_another_attempt_keeps_the_order(tmp_path: Any) -> None:
    queue, out = DispatchQueue("serial"), procession.SimpleQueue()
    path = str(tmp_path / "died")

    def note(i: int) -> None:
        if i == 5 and not os.path.exists(path):
            with open(path, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        out.put(i)

    futures = [queue.with_options(retries=1).async_(note, i) for i in range(20)]
    assert [future.result(LIMIT) for future in futures] == [None] * 20
    assert [out.get() for _ in range(20)] == list(range(20))


FORKS = """
    import os, sys, time, warnings
    import procession
    warnings.simplefilter("ignore")
    gate = procession.Event()
    queue = procession.DispatchQueue("serial")
    first = queue.async_(gate.wait)
    others = [queue.async_(abs, i) for i in range(50)]
    pid = os.fork()
    if pid == 0:
        try:
            {child}
        except RuntimeError as error:
            print("belongs to process" in str(error), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    gate.set()
    print(sum(future.result(20) for future in others))
"""


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ("queue.suspend()", "True\n"), ("queue.resume()", "True\n"),
        ("queue.close(cancel=True)", ""), ("queue.close(stop=True)", ""),
        ("queue.__exit__(SystemExit, SystemExit(), None)", ""), ("for future in others: future.cancel()", ""),
    ],
)  # fmt: skip
def test_a_forked_child_takes_no_block_of_its_parent_s(program: Any, child: str, said: str) -> None:
    done = program.run_script(FORKS.format(child=child))
    assert (done.stdout, done.stderr, done.returncode) == (f"{said}1225\n", "", 0)


def test_a_block_s_forked_child_cannot_use_its_queues() -> None:
    queue, other, said = DispatchQueue("a"), DispatchQueue("b"), procession.SimpleQueue()

    def block() -> Any:
        future = other.async_(same, 1)
        pid = os.fork()
        if pid == 0:
            for use in (lambda: other.sync(same, 2), future.result, lambda: future.add_done_callback(print), future.cancel):
                try:
                    said.put(use())
                except RuntimeError as error:
                    said.put(str(error))
            os._exit(0)
        os.waitpid(pid, 0)
        return future.result(), other.sync(same, 3)

    assert queue.async_(block).result(LIMIT) == (1, 3)
    assert "only that and the workers of its pool can use it" in said.get()
    assert ["belongs to another process" in said.get() for _ in range(2)] == [True] * 2
    assert said.get()  # (cancelled, as far as the child is concerned)


def test_killed_at_any_moment() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    target = DispatchQueue("target")
    queues = [DispatchQueue("a"), DispatchQueue("b", True), DispatchQueue("c", target=target), target]
    submitter = DispatchQueue("submitter", True)

    def submit(queue: DispatchQueue, i: int) -> int:
        return queue.async_(same, i).result()  # type: ignore[no-any-return]

    for _ in range(8):
        futures = [(i, (queue.barrier_async if i % 10 == 9 else queue.async_)(same, i)) for i in range(30) for queue in queues]
        futures += [(i, submitter.async_(submit, queue, i)) for i in range(5) for queue in queues[:3]]
        for _ in range(2):
            time.sleep(dice.random() * 0.005)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(dice.choice(sorted(submitter._engine.crew.processes)), signal.SIGKILL)  # type: ignore[type-var, arg-type]
        lost = 0
        for i, future in futures:
            error = future.exception(LIMIT)
            assert error is None or isinstance(error, WorkerDied)
            assert error is not None or future.result() == i
            lost += error is not None
        assert lost <= 4  # (one for each death, and a block that waited for it in vain)
    assert not submitter._engine.guests.waits.workers()


# --- Ctrl-C ---


def test_ctrl_c_in_sync_cancels_the_block(program: Any) -> None:
    code = """
        import os, signal, threading, time
        import procession
        queue = procession.DispatchQueue("serial")
        begun = procession.Event()
        def block():
            begun.set()
            time.sleep(3600)
        def press(seen):  # (one that comes just before a call that sleeps is not seen)
            begun.wait()
            while not seen.wait(0.05):
                os.kill(os.getpid(), signal.SIGINT)
        for _ in range(3):
            begun.clear()
            seen = threading.Event()
            threading.Thread(target=press, args=(seen,)).start()
            try:
                queue.sync(block)
            except KeyboardInterrupt:
                seen.set()
                print("interrupted")
        print(queue.sync(lambda: "goes on"))
    """
    done = program.run_script(code)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n" * 3 + "goes on\n", "", 0)


def test_ctrl_c_at_any_moment_leaves_the_queue_usable(program: Any) -> None:
    code = """
        import os, random, signal, threading, time
        import procession
        queue, other = procession.DispatchQueue("serial"), procession.DispatchQueue("other", True)
        queue.sync(int)
        armed, stop = [], []
        def pressed(*_):
            if armed:
                armed.clear()  # (one at a time, and only where it is expected)
                raise KeyboardInterrupt
        signal.signal(signal.SIGINT, pressed)
        def press():
            while not stop:
                time.sleep(random.random() * 0.02)
                os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=press)
        thread.start()
        count, deadline = 0, time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                armed.append(True)
                for i in range(20):
                    queue.async_(int)
                    other.barrier_async(int)
                    assert queue.sync(divmod, 7, 2) == (3, 1)
                    other.sync(int)
                armed.clear()
            except KeyboardInterrupt:
                count += 1
        stop.append(True)
        thread.join()
        for each in (queue, other):
            assert each.barrier_async(divmod, 7, 2).result(10) == (3, 1)
            assert each.join(10)
        print(count > 5)
    """
    done = program.run_script(code)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


# --- the end of the program ---


def test_at_the_exit_what_was_submitted_is_done(program: Any) -> None:
    code = """
        import sys, time
        import procession
        queue, stopped = procession.DispatchQueue("serial"), procession.DispatchQueue("suspended")
        def note(i):
            with open(sys.argv[1], "a") as file:
                file.write(f"{i}\\n")
        for i in range(200):
            queue.async_(note, i)
        queue.after(3600, note, "late")
        stopped.suspend()
        stopped.async_(note, "suspended")
        group = queue.group()
        group.async_(queue, note, 200)
        group.notify(queue, note, "notice")
    """
    path = program.folder / "lines"
    done = program.run_script(code, str(path))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    lines = path.read_text().splitlines()
    assert lines[:201] == [str(i) for i in range(201)]
    assert set(lines[201:]) <= {"notice"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_program_s_death_is_that_of_its_workers(program: Any, how: signal.Signals) -> None:
    code = """
        import os, time
        import procession
        queue, other = procession.DispatchQueue("serial"), procession.DispatchQueue("other")
        pids = [queue.sync(os.getpid)]
        ready = procession.Event()
        def block():
            other.sync(lambda: (ready.set(), time.sleep(3600)))
        queue.async_(block)
        ready.wait()
        print(*queue._engine.crew.processes, flush=True)
        time.sleep(3600)
    """
    from procession.testing.watch import identity, wait_gone

    running = program.start(program.script(code))
    workers = [identity(int(pid)) for pid in running.stdout.readline().split()]
    assert len(workers) >= 2
    running.send_signal(how)
    running.wait(LIMIT)
    wait_gone([who for who in workers if who is not None])
