"""Arrays of numpy in shared memory: sent to other processes, and back, without a copy. (Needs numpy.)

The blur of a picture, by four processes that write into one result. No part of it is sent anywhere: what travels are handles.
"""

import numpy as np

import procession
from procession import Process, Queue


def blur(picture, result, first, last):
    for y in range(first, last):
        above, below = max(y - 1, 0), min(y + 1, len(picture) - 1)
        result[y] = (picture[above] + picture[y] + picture[below]) / 3


def make(queue):
    picture = procession.zeros((400, 300))
    picture[200] = 3.0
    queue.put(picture)  # it lives on when its maker has ended


queue = Queue()
maker = Process(target=make, args=(queue,))
maker.start()
picture = queue.get()
maker.join()

result = procession.empty(picture.shape)
workers = [Process(target=blur, args=(picture, result, y, y + 100)) for y in range(0, 400, 100)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print("a line became", result[199:202, 0])

copied = procession.asarray(np.arange(6).reshape(2, 3))  # of what lies elsewhere
print("shared:", copied.tolist(), procession.asarray(copied) is copied)

before = procession.memory_use().total
del picture, result, worker, workers
print("given back:", before - procession.memory_use().total >= 2 * 400 * 300 * 8)
