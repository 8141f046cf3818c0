"""An orphan: a process whose parent has died. Elsewhere it works on for nobody; here it goes when its parent goes.

The parent gets no chance to clean up: it is ended with SIGKILL. Its child, its grandchild, and a program that the
grandchild started with plain `subprocess` go with it.
"""

import os
import subprocess
import time
from pathlib import Path

from procession import Process, SimpleQueue


def grandchild(pids):
    program = subprocess.Popen(["sleep", "1000"])
    pids.put({"grandchild": os.getpid(), "its subprocess": program.pid})
    program.wait()


def child(pids):
    Process(target=grandchild, args=(pids,)).start()
    pids.put({"child": os.getpid()})
    time.sleep(1000)


def parent(pids):
    Process(target=child, args=(pids,)).start()
    time.sleep(1000)


def alive(pid):
    """Whether it runs. (Whoever has lost all its parents is a zombie until init, its last, has seen to it.)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


pids = SimpleQueue()
family = Process(target=parent, args=(pids,))
family.start()
others = pids.get() | pids.get()
print("alive:", {name: alive(others[name]) for name in sorted(others)})

family.kill()
family.join()
print("the parent was ended by signal", -family.exitcode)

deadline = time.monotonic() + 5
while any(map(alive, others.values())) and time.monotonic() < deadline:
    time.sleep(0.001)
print("alive:", {name: alive(others[name]) for name in sorted(others)})
