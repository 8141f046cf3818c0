"""Serial or concurrent, synchronous or asynchronous: four ways to hand on three tasks, each drawn as time lines.

A serial queue runs one task at a time; a concurrent one as many as it may. `sync` waits for the task, `async_` does not.
"""

import time

from procession import DispatchQueue, ProcessPoolExecutor, wait

TASK, SIGN = 0.12, 0.02  # seconds: of a task; of one sign in the drawing


def task():
    began = time.monotonic()
    time.sleep(TASK)
    return began, time.monotonic()


def figure(title, queue, synchronous):
    start, handed, ran, futures = time.monotonic(), [], [], []
    for _ in range(3):
        handed.append(time.monotonic())
        if synchronous:
            ran.append(queue.sync(task))  # main waits here, each time
        else:
            futures.append(queue.async_(task))
    time.sleep(SIGN)  # main has something to do as well
    waits = [(to, ended) for to, (_, ended) in zip(handed, ran, strict=False)] or [(time.monotonic(), wait_for(futures))]
    ran += [future.result() for future in futures]
    draw(title, start, waits, [(to, *at) for to, at in zip(handed, ran, strict=True)])


def wait_for(futures):
    wait(futures)
    return time.monotonic()


def draw(title, start, waits, tasks):
    end = max(ended for _, _, ended in tasks) + SIGN
    times = [start + SIGN * (sign + 0.5) for sign in range(round((end - start) / SIGN))]
    print(title)
    print("  main  ", "".join("." if any(a <= t < b for a, b in waits) else "=" for t in times))
    for number, (handed, began, ended) in enumerate(tasks, 1):
        signs = ["#" if began <= t < ended else "." if handed <= t < began else " " for t in times]
        print(f"  task {number}", "".join(signs).rstrip())
    together = sum(a < d and c < b for i, (_, a, b) in enumerate(tasks) for _, c, d in tasks[i + 1 :])
    print("  pairs of tasks that ran at the same time:", together)


print("= is at work   # runs   . waits\n")
with ProcessPoolExecutor(3) as pool:
    wait([pool.submit(task) for _ in range(3)])  # (the workers are there)
    serial = DispatchQueue("serial", executor=pool)
    concurrent = DispatchQueue("concurrent", concurrent=True, executor=pool)
    figure("serial, synchronous: one after another, and main waits for each", serial, True)
    figure("serial, asynchronous: one after another, and main goes on", serial, False)
    figure("concurrent, synchronous: they could run together, but main hands on one at a time", concurrent, True)
    figure("concurrent, asynchronous: all together, and main goes on", concurrent, False)
