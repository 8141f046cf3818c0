"""What a consumer had in hand when it died is given to another; and how a task is not lost whose worker died later."""

import asyncio
import os
import signal

import procession
from procession import Process, Queue


def deadly_in_child(parent):
    if os.getppid() == parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return "whole and alive"


class Heavy:
    """Whoever takes it out dies while it reads it, unless it is the maker."""

    def __reduce__(self):
        return deadly_in_child, (os.getpid(),)


def take(queue):
    queue.get()


def work(tasks, results):
    for number in tasks:
        if number == 3 and procession.current_process().name == "clumsy":
            os.kill(os.getpid(), signal.SIGKILL)  # `get` had returned: now the task is the worker's
        results.put((number, -number))


queue = Queue(redeliver=True)
queue.put(Heavy())
consumer = Process(target=take, args=(queue,))
consumer.start()
consumer.join()
print("killed by signal", -consumer.exitcode, "and still in the queue:", queue.qsize())
print(asyncio.run(queue.get_async(timeout=10)))

results, missing = Queue(), set(range(5))
for name in ("clumsy", "careful"):
    tasks = Queue()
    tasks.put_many(sorted(missing))  # those that have no result yet
    worker = Process(target=work, args=(tasks, results), name=name)
    worker.start()
    tasks.close()
    worker.join()
    done = dict(results.get_many(block=False))
    missing -= set(done)
    print(name, "did", sorted(done), "missing:", sorted(missing))
