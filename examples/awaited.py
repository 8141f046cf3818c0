"""In an event loop: locks and events are awaited, beside other tasks and with other processes, without a thread for each."""

import asyncio

from procession import Event, Lock, Process, Value


def add(number, lock, begin):
    begin.wait()
    for _ in range(100):
        with lock:
            number.value += 1


async def add_here(number, lock):
    for _ in range(100):
        async with lock:
            seen = number.value
            await asyncio.sleep(0)  # other tasks have their turn; the lock is still ours
            number.value = seen + 1


async def main():
    number, lock, begin = Value("i", 0, lock=False), Lock(), Event()
    processes = [Process(target=add, args=(number, lock, begin)) for _ in range(2)]
    for process in processes:
        process.start()
    begin.set()
    await asyncio.gather(*[add_here(number, lock) for _ in range(5)], *processes)
    print("5 tasks and 2 processes, 100 each:", number.value)

    ready = Event()
    print("not set within 0.05 s:", await ready.wait_async(0.05))
    setter = Process(target=lambda event: event.set(), args=(ready,))
    setter.start()
    print("set by another process:", await ready.wait_async())
    await setter

    await lock.acquire_async()
    try:
        await asyncio.wait_for(lock.acquire_async(), 0.05)
    except TimeoutError:
        print("cancelled, and nobody waits:", lock.waiters)
    lock.release()
    print("free again:", not lock.locked())


asyncio.run(main())
