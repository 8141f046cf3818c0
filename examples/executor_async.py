"""A pool in an event loop: await a task, several, or the first; cancel one by cancelling the await."""

import asyncio
import os
import time

from procession import Event, ProcessPoolExecutor, TaskStopped


def work(number):
    return number, os.getpid()


def watch(begun, stopped):
    try:
        begun.set()
        time.sleep(1000)
    except TaskStopped:
        stopped.set()
        raise


async def main():
    loop = asyncio.get_running_loop()
    here = os.getpid()
    with ProcessPoolExecutor(2) as pool:
        number, there = await pool.submit(work, 1)  # its futures can be awaited
        print("awaited:", number, "- in another process:", there != here)
        print("run_in_executor:", await loop.run_in_executor(pool, pow, 2, 10))
        print("gather:", await asyncio.gather(*(asyncio.wrap_future(pool.submit(pow, 2, n)) for n in range(5))))

        begun, stopped = Event(), Event()
        waiting = asyncio.wrap_future(pool.submit(watch, begun, stopped))
        await begun.wait_async()
        waiting.cancel()  # stops the task itself, in its worker
        await stopped.wait_async()
        print("cancelled, and the task has stopped:", stopped.is_set())

        try:
            await asyncio.wait_for(pool.submit(time.sleep, 1000), timeout=0.1)
        except TimeoutError:
            print("wait_for gave up, and nothing goes on behind it")
        print("the pool is free:", await pool.submit(work, 2) != (2, here))


asyncio.run(main())
