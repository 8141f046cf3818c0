"""A lock of readers and writers: many may read at once; who writes is alone; and who came first goes first."""

import procession
from procession import Process, RWLock


def read(book, inside, log):
    with book.reading():
        inside.wait()  # goes on when all three are reading: they are there at the same time
        log.put("reading together")


def write(book, log):
    with book.writing():
        log.put(f"writing; readers: {len(book.readers)}")


def try_to_read(book, log):
    if book.acquire_read(block=False):
        book.release_read()
        log.put("yes")
    else:
        log.put("no: it came after a writer that waits")


book, inside, log = RWLock(), procession.Barrier(3), procession.SimpleQueue()
readers = [Process(target=read, args=(book, inside, log)) for _ in range(3)]
for process in readers:
    process.start()
for process in readers:
    process.join()
print([log.get() for _ in readers])

with book.reading():
    writer = Process(target=write, args=(book, log))
    writer.start()
    while not book.waiters:  # until it is there
        procession.wait([writer], timeout=0.001)
    print("a writer waits for us:", writer.is_alive())
    late = Process(target=try_to_read, args=(book, log))
    late.start()
    late.join()
    print("may another read meanwhile?", log.get())
writer.join()
print(log.get())
