"""Many tasks for a pool: all at once, in order, or as they come; from a list, or from a source without an end."""

import itertools
import os

import procession
from procession import Pool

gate = procession.Event()


def square(number):
    return number * number


def wait_if_first(number):
    if number == 0:
        gate.wait()
    return number


def check(number):
    if number == 2:
        raise ValueError(f"no {number}, please")
    return number


def numbers():
    for number in itertools.count():
        asked.append(number)
        yield number


asked, told = [], []
with Pool(2) as pool:
    print("map:", pool.map(square, range(8)))
    print("starmap:", pool.starmap(pow, [(2, 3), (3, 2)]))

    stream = pool.imap_unordered(wait_if_first, range(4))
    print("imap_unordered, as they come:", [next(stream) for _ in range(3)], end=" ")
    gate.set()
    print("and the first one last:", list(stream))

    results = pool.imap(check, range(4))
    print("imap, in order:", next(results), next(results), end=" ")
    try:
        next(results)
    except ValueError as error:
        print(f"({error})", *results)

    endless = pool.imap(square, numbers())
    print("of an endless source:", list(itertools.islice(endless, 4)), "- read too much:", len(asked) > 200)

    pool.map(square, range(1000), progress=lambda done, total: told.append((done, total)))
    pids = pool.map(lambda _: os.getpid(), range(100))
    print("without a word about chunks:", len(set(pids)) <= 2)
# (the end of the block ends the pool, and the endless stream with it: close() and join() would wait for its end)
print("the last that the progress function was told:", told[-1])
