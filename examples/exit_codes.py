"""Names, numbers and exit codes: how a process ended is told by its exit code."""

import os
import signal
import sys

from procession import Process


def fails():
    raise ValueError("this goes to standard error, with a traceback")


ENDS = {
    "returns": lambda: None,
    "raises": fails,
    "sys.exit()": lambda: sys.exit(),
    "sys.exit(3)": lambda: sys.exit(3),
    "sys.exit('text')": lambda: sys.exit("this goes to standard error, too"),
    "os._exit(4)": lambda: os._exit(4),
    "SIGTERM": lambda: signal.raise_signal(signal.SIGTERM),
    "SIGKILL": lambda: signal.raise_signal(signal.SIGKILL),
}

processes = [Process(target=end, name=name) for name, end in ENDS.items()]
for process in processes:
    assert process.pid is None, "no number before start"
    process.start()
    assert process.pid > 0
for process in processes:
    process.join()
    code = process.exitcode
    meaning = f"ended by {signal.Signals(-code).name}" if code < 0 else "all well" if code == 0 else "failed"
    print(f"{process.name:18}{code:4}  {meaning}")

unnamed = Process(target=print)
print("A process without a name gets one:", unnamed.name)
unnamed.name = "renamed"
print("and can be given another:", unnamed.name)
