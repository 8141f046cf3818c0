"""What children of a zygote must have, whether they come at once, before their spare has rehearsed, or long after."""

from __future__ import annotations

import os
from typing import Any

import pytest

import procession
from procession.process import portable
from procession.process.nursery import nursery

MAIN = """
import os, pickle, random, signal, sys, threading, time
import procession
def facts(path):
    here = procession.current_process()
    found = {
        "name": here.name, "authkey": bytes(here.authkey), "parent": procession.parent_process().pid, "daemon": here.daemon,
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "ignored": signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN,
        "native_id": threading.main_thread().native_id == os.getpid() == threading.get_native_id(),
        "threads": threading.active_count(), "random": random.random(), "main": "__procession_rehearsal__" in globals(),
        "next": procession.Process().name, "cookie": os.environ["PROCESSION_MEMBER"],
        "inherited": os.popen("echo $PROCESSION_MEMBER").read().strip(),
    }
    with open(path + ".tmp", "wb") as file:
        pickle.dump(found, file)
    os.rename(path + ".tmp", path)
class Box:
    def __init__(self, path): self.path = path
    def open(self): facts(self.path)
def run(folder, by_pickle, pause):
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    all = []
    for i in range(6):
        time.sleep(pause)
        path = f"{folder}/{i}"
        p = procession.Process(target=Box(path).open) if by_pickle else procession.Process(target=facts, args=(path,))
        p.start(); p.join()
        assert p.exitcode == 0, p.exitcode
        with open(path, "rb") as file:
            all.append(pickle.load(file))
    key = bytes(procession.current_process().authkey)
    for i, found in enumerate(all):
        print(i, {**found, "authkey": found["authkey"] == key, "random": 0, "cookie": found["cookie"] == found["inherited"],
                  "inherited": 0, "parent": found["parent"] == os.getpid()})
    assert len({found["random"] for found in all}) == len(all), "children draw the same numbers"
    assert len({found["cookie"] for found in all}) == len(all), "children wear the same cookie"
"""


@pytest.mark.no_leak_guard
@pytest.mark.parametrize("pause", [0, 0.03], ids=["at once", "rehearsed"])
@pytest.mark.parametrize("by_pickle", [False, True], ids=["plain", "pickled"])
def test_every_child_is_itself(program: Any, tmp_path: Any, by_pickle: bool, pause: float) -> None:
    done = program.run_script(MAIN + f"run({str(tmp_path)!r}, {by_pickle}, {pause})")
    assert done.returncode == 0, done.stderr
    expected = {
        "authkey": True, "parent": True, "daemon": False, "interrupt": True, "ignored": True, "native_id": True, "threads": 1,
        "random": 0, "main": False, "next": "Process-{}:1", "cookie": True, "inherited": 0,
    }  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    for i, line in enumerate(lines):
        told = eval(line.split(" ", 1)[1])
        assert told == {**expected, "name": f"Process-{i + 1}", "next": f"Process-{i + 1}:1"}


def test_what_is_plain_and_what_is_pickled() -> None:
    def closure() -> Any:
        return nursery

    class Kind(procession.Process):
        pass

    marked = procession.Process(target=int)
    marked.note = "an attribute"  # type: ignore[attr-defined]
    pickled = [procession.Process(target=closure), Kind(), marked, procession.Process(target=int, args=({1},))]
    plain = [procession.Process(target=os.getpid), procession.get_context("spawn").Process(), procession.Process(daemon=True)]
    assert [portable.dumps(p, set())[:1] for p in plain] == [b"m"] * len(plain)
    for process in pickled:
        with pytest.raises(TypeError, match="AuthenticationString"):  # cloudpickle's way: only start() may send the key
            portable.dumps(process, set())


def test_a_fork_handler_of_the_users_is_run_in_every_child(program: Any, tmp_path: Any) -> None:
    """A module that the zygote imports registers one: from then on every child runs them all, as after os.fork()."""
    (tmp_path / "handler.py").write_text(
        "import os\nruns = []\nos.register_at_fork(after_in_child=lambda: runs.append(os.getpid()))\n"
        "def report(): print(runs == [os.getpid()], flush=True)\n"
    )
    done = program.run_script("""
        import time
        import handler, procession
        for i in range(4):
            p = procession.Process(target=handler.report); p.start(); p.join()
            time.sleep(0.01 * i)
    """)
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_the_zygote_lives_on_after_its_rehearsals() -> None:
    """An error in them would be nobody's. It answers the first order before them, all others after: the later of these
    children can only come from a zygote that is through with them."""
    nursery.stop()
    procession.Process(target=int).start()
    first = nursery._zygote
    for _ in range(8):
        process = procession.Process(target=lambda: None)
        process.start()
        process.join()
        assert process.exitcode == 0
    assert first is not None
    assert not first.exited
    assert nursery._zygote is first


@pytest.mark.no_leak_guard
def test_rehearsals_succeed(program: Any) -> None:
    """In a process that plays the zygote, with what the real one hides made visible."""
    for module in ("procession.core.plain", "procession.core.pickling"):
        done = program.run("-c", f"""if 1:
            import os, {module}
            from procession import _native
            from procession.core import fds, main_module
            from procession.process import bootstrap, portable, rehearsal, spare
            from procession.process.family import family
            me = family.ensure()
            fds.PARENT_FD = os.pidfd_open(os.getpid())
            state = dict(portable.common_state())
            main_module.fresh_main({{}})
            portable.hold_ready(state); bootstrap.set_fresh(True); spare.note_state()
            for _ in range(3):
                rehearsal.rehearse(me)
            print("rehearsed")""")
        assert done.stdout == "rehearsed\n", done.stderr
