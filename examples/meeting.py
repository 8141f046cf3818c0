"""A barrier: three walk in stages, and nobody begins a stage before all have ended the last. One dies: nobody waits for it."""

import os
from threading import BrokenBarrierError

import procession
from procession import Barrier, Process, Value


def walk(arrived, barrier, log):
    for stage in (1, 2, 3):
        with arrived.get_lock():
            arrived.value += 1
        place = barrier.wait()  # 0, 1 or 2: in the order in which they came
        if place == 0:  # one of the three speaks for all
            log.put(f"stage {stage}: {arrived.value} arrivals")
        barrier.wait()


def wait_there(barrier, log):
    try:
        barrier.wait()
    except BrokenBarrierError:
        log.put("the barrier is broken")


def run(processes):
    for process in processes:
        process.start()
    for process in processes:
        process.join()


log = procession.SimpleQueue()
arrived, barrier = Value("i", 0), Barrier(3)
run([Process(target=walk, args=(arrived, barrier, log)) for _ in range(3)])
for _ in range(3):
    print(log.get())

barrier = Barrier(3)
waiting = [Process(target=wait_there, args=(barrier, log)) for _ in range(2)]
run([*waiting, Process(target=lambda barrier: os._exit(1), args=(barrier,))])  # has it, so is expected; and dies
for _ in waiting:
    print(log.get())
