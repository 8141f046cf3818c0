"""A supervisor starts its children anew when they end, and gives up when that happens too often."""

import os
import signal
import time

import procession

starts = procession.SharedDict()


def serve(name):
    starts.increment(name)
    time.sleep(3600)


def count_to_three():
    if starts.increment("counter") < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return "three"


def fail():
    raise ValueError("no water")


def until(condition):
    while not condition():
        time.sleep(0.001)


with procession.supervisor("rest_for_one") as s:
    first, second, third = [s.with_options(name=name).start(serve, name) for name in ("first", "second", "third")]
    until(lambda: len(starts) == 3)
    second.process.kill()
    until(lambda: starts["third"] == 2)
    print("started anew:", [f"{child.name} {child.restarts}" for child in s.children()])
    s.stop()  # the third, then the second, then the first
print("stopped:", first.cancelled(), second.cancelled(), third.cancelled())

with procession.supervisor() as s:
    child = s.with_options(restart="transient").start(count_to_three)  # until it has not failed
print(child.result(), "after", child.restarts, "restarts")

try:
    with procession.supervisor(name="well", intensity=2, period=60) as s:
        s.start(fail)
except* procession.RestartLimit as group:
    (limit,) = group.exceptions
    print(f"{limit.supervisor}: {limit.child} was started anew {limit.restarts} times, and failed with {limit.__cause__}")
