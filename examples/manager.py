"""A manager: a process that holds objects for others. It serves them as long as it lives, and says so when it does not."""

import os
import signal

from procession import Manager, Process


def enter(guests, names, lock, name):
    with lock:
        names.append(name)
        guests[name] = len(names)


with Manager() as manager:
    guests, names, lock = manager.dict(), manager.list(), manager.Lock()
    processes = [Process(target=enter, args=(guests, names, lock, name)) for name in ("Ada", "Grace", "Edsger")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(sorted(names), sorted(guests.values()))

manager = Manager()
tasks = manager.list(["one"])
os.kill(manager._process.pid, signal.SIGKILL)
manager._process.join()
try:
    tasks.append("two")
except (EOFError, OSError) as error:
    print("the manager is gone:", type(error).__name__)
