"""Ending a process from outside.

terminate() asks, kill() does not, and terminate(grace=...) asks first and does not ask for ever.
"""

import signal
import time

import procession
from procession import Process


def obedient(ready):
    ready.set()
    time.sleep(1000)


def stubborn(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    time.sleep(1000)


def started(target):
    ready = procession.Event()
    process = Process(target=target, args=(ready,), name=target.__name__)
    print(f"{process.name}: before start alive is {process.is_alive()}")
    process.start()
    ready.wait()
    print(f"{process.name}: after start alive is {process.is_alive()}")
    return process


p = started(obedient)
p.terminate()  # sends the signal and returns: right now it may still be alive
p.join()
print(f"{p.name}: after terminate() and join() alive is {p.is_alive()}, exit code {p.exitcode}")

p = started(stubborn)
p.terminate()
p.join(timeout=0.2)
print(f"{p.name}: after terminate() alive is {p.is_alive()}")
p.terminate(grace=0.2)  # SIGTERM once more, to all that it started as well; SIGKILL to what is left after 0.2 s
p.join()
print(f"{p.name}: after terminate(grace=0.2) and join() alive is {p.is_alive()}, exit code {p.exitcode}")
