"""Serial and concurrent queues, sync and async: who ran when, and where the caller was meanwhile."""

import itertools
import os
import time

from procession import DispatchQueue

NAP = 0.1
WIDTH = 6  # characters for a nap


def work(name):
    began = time.monotonic()
    time.sleep(NAP)
    return name, os.getpid(), began, time.monotonic()


def sync(queue):
    return [queue.sync(work, name) for name in "abc"]


def async_(queue):
    futures = [queue.async_(work, name) for name in "abc"]
    print("  the caller goes on, done are:", [future.done() for future in futures])
    return [future.result() for future in futures]


def show(blocks):
    first = min(began for _, _, began, _ in blocks)
    for name, _pid, began, ended in blocks:
        before, during = (round(seconds / NAP * WIDTH) for seconds in (began - first, ended - began))
        print("  " + " " * before + name * during)
    alone = all(earlier[3] <= later[2] for earlier, later in itertools.pairwise(blocks))
    print("  one after another:", alone)


for queue in (DispatchQueue("serial"), DispatchQueue("concurrent", concurrent=True, width=2)):
    queue.apply(4, abs)  # (the workers are up)
    for submit in (sync, async_):
        print(f"{queue.name}, {submit.__name__}:")
        show(submit(queue))

print("in a serial queue, blocks that do not wait:", DispatchQueue("adder").apply(5, lambda i: i + 1))
