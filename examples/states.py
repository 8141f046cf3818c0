"""The states of a process over time: running, ready (waits for a processor), blocked (waits for anything else)."""

import os
import time

import procession
from procession import Process


def work(orders):
    while not orders.poll():
        sum(range(10_000))  # computes until it is told to stop
    orders.recv()
    time.sleep(0.3)
    orders.recv()  # waits for a message


def compute(seconds):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # all on the same processor
    while time.process_time() < seconds:
        pass


def look_until(process, wanted):
    """Look at the state until it is the one wanted, but not for ever."""
    deadline = time.monotonic() + 10
    while (seen := process.state) != wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    return seen


ours, theirs = procession.Pipe()
p = Process(target=work, args=(theirs,))
print("not started:", p.state)
p.start()
print("computes:   ", look_until(p, "running"))
ours.send("now sleep")
print("sleeps:     ", look_until(p, "blocked"))
time.sleep(0.5)
print("waits:      ", look_until(p, "blocked"))
ours.send("now end")
p.join()
print("has ended:  ", p.state)
times = p.times()
print(f"seconds running {times.running:.3f}, ready {times.ready:.3f}, blocked {times.blocked:.3f}")

print("Three on one processor: one runs, the others are ready.")
rivals = [Process(target=compute, args=(0.2,)) for _ in range(3)]
for rival in rivals:
    rival.start()
for rival in rivals:
    rival.join()
    times = rival.times()
    print(f"seconds running {times.running:.3f}, ready {times.ready:.3f}, blocked {times.blocked:.3f}")
