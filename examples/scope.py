"""A scope: what was started in its block is over when the block is left, and the first failure ends the others."""

import asyncio
import time

import procession


def square(number):
    return number * number


def stand_by():
    time.sleep(3600)


def burn():
    raise ValueError("the soup is burnt")


with procession.scope() as s:
    child = s.start(square, 3)  # in a process of its own
    task = s.submit(square, 4)  # by a worker of the scope's pool
print("results:", child.result(), task.result())

try:
    with procession.scope(name="kitchen") as s:
        helpers = [s.start(stand_by) for _ in range(3)]
        s.start(burn)
except* ValueError as group:
    print(f"{group.message}: {group.exceptions[0]}; helpers ended: {[helper.cancelled() for helper in helpers]}")

try:
    with procession.scope(timeout=0.2) as s:
        s.with_options(name="the slow one").start(stand_by)
except TimeoutError as late:
    print("late:", late.unfinished)

with procession.scope() as s:
    shielded = s.with_options(shield=True).start(square, 5)
    other = s.start(stand_by)
    s.cancel()
print("cancelled:", other.cancelled(), "shielded:", shielded.result())


async def main():
    try:
        async with procession.scope(name="dining room") as s:
            s.start(burn)
            await asyncio.sleep(3600)  # it is cancelled when the child fails
    except* ValueError as group:
        print(f"{group.message}: {group.exceptions[0]}")


asyncio.run(main())
