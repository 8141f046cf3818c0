"""Pools within pools: they share the processors, and end with the task that made them."""

import os
from pathlib import Path

from procession import Pool, ProcessPoolExecutor, WorkerDied, cpu_count


def square(number):
    return number * number


def sum_of_squares(numbers):
    with Pool() as inner:  # without a number: this worker's share of the processors, not all of them
        return inner._processes, sum(inner.map(square, numbers))


def be_killed():
    inner = Pool(2)
    pids = inner.map(lambda _: os.getpid(), range(20))
    Path(note).write_text(" ".join(map(str, set(pids))))
    os.kill(os.getpid(), 9)


def runs(pid):
    return os.path.exists(f"/proc/{pid}")


def threads():
    return os.environ["OMP_NUM_THREADS"]  # of numpy and the like, in each worker


with Pool(cpu_count()) as outer:
    found = outer.map(sum_of_squares, [range(10), range(100), range(1000)])
    print("sums:", [total for _, total in found])
    print("workers of each inner pool:", {workers for workers, _ in found})
    print("threads of a worker:", {outer.apply(threads) for _ in range(4)})

note = f"/tmp/nested_pools.{os.getpid()}"
with ProcessPoolExecutor(1) as outer:
    try:
        outer.submit(be_killed).result()
    except WorkerDied as death:
        print("killed with its inner pool:", death.signal)
    left = [int(pid) for pid in Path(note).read_text().split()]
    while any(map(runs, left)):
        os.sched_yield()
    print("workers of the inner pool that are left:", sum(map(runs, left)))
Path(note).unlink()
