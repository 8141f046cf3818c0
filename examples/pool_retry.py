"""A worker that dies takes one task with it: the one that it had in hand. That fails, or is tried again, as you like."""

import os
import signal

from procession import Pool, ProcessPoolExecutor, SharedDict, WorkerDied

attempts = SharedDict()


def work(number):
    if number == 3 and attempts.increment("of 3") < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def outcome(future):
    try:
        return future.result()
    except WorkerDied as death:
        return f"{death.signal} in {death.task}"


def leave():
    os._exit(7)


with ProcessPoolExecutor(2) as pool:
    futures = [pool.submit(work, number) for number in range(6)]
    print("not tried again:", [outcome(future) for future in futures])

    attempts.clear()
    futures = [pool.with_options(retries=2).submit(work, number) for number in range(6)]
    print("tried again:    ", [outcome(future) for future in futures])
    print("attempts:", attempts["of 3"])

    death = pool.with_options(retries=1, name="one that leaves").submit(leave).exception()
    print(str(death).replace(str(death.pid), "..."))
    print("exit code", death.exitcode, "after", death.attempts, "attempts")

with Pool(2) as pool:
    attempts.clear()
    results = pool.imap(work, range(6))
    squares = []
    while len(squares) < 6:
        try:
            squares.append(next(results))
        except WorkerDied:
            squares.append(None)  # a failure comes in place of its result, and the rest behind it
    print("in a stream:", squares)
