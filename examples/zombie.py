"""A zombie: a process that has ended, and whose parent has not taken its exit code. It can stay as long as the parent.

Side by side: a child of plain os.fork(), and one of procession. Nobody joins either of them.
"""

import os
import time
from pathlib import Path

from procession import Process


def state(pid):
    """The kernel's letter for it (Z: zombie), or "gone"."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def look_until(wanted, pid):
    """Look until it is in that state, but not for ever."""
    deadline = time.monotonic() + 5
    while (seen := state(pid)) != wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    return seen


plain = os.fork()
if plain == 0:
    os._exit(7)  # the child ends at once
print("the plain child has ended:", look_until("Z", plain))

ours = Process(target=os._exit, args=(7,))
ours.start()
print("procession's child has ended:", look_until("gone", ours.pid))

time.sleep(0.3)  # a long-lived parent that is busy with something else
print("later: the plain child is", state(plain), "and procession's is", state(ours.pid))

_, status = os.waitpid(plain, 0)  # this is what was missing: the parent asks
print("after waitpid() the plain child is", state(plain) + ", its exit code was", os.waitstatus_to_exitcode(status))
print("nothing was lost by procession's haste: its exit code was", ours.exitcode)
