"""A task that takes too long is stopped, step by step, and so is one that is cancelled; no other task notices."""

import signal
import time

from procession import Event, ProcessPoolExecutor, TaskStopped, TaskTimeout


def obedient(seconds):
    time.sleep(seconds)


def tidy(tidied):
    try:
        time.sleep(1000)
    except TaskStopped:  # no Exception, so that "except Exception" does not catch it
        tidied.set()
        raise


def stubborn(begun):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begun.set()
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue  # whoever writes this has it ended by SIGKILL


def how_it_ended(future):
    try:
        return future.result()
    except TaskTimeout as error:
        return f"TaskTimeout, by {error.stopped_by}: {error}"


with ProcessPoolExecutor(3) as pool:
    neighbours = [pool.submit(pow, 2, n) for n in range(5)]
    hasty = pool.with_options(timeout=0.1, grace=0.1)
    print(how_it_ended(hasty.submit(obedient, 0)))
    print(how_it_ended(hasty.submit(obedient, 1000)))
    print(how_it_ended(hasty.with_options(name="the stubborn one").submit(stubborn, Event())))

    tidied, begun = Event(), Event()
    print(how_it_ended(hasty.submit(tidy, tidied)))
    print("it has tidied up:", tidied.is_set())

    running = pool.with_options(grace=0.1).submit(stubborn, begun)
    begun.wait()
    print("a running task is cancelled:", running.cancel(), running.cancelled())
    print("the neighbours:", [neighbour.result() for neighbour in neighbours])
    print("and the pool goes on:", pool.submit(pow, 2, 10).result())
