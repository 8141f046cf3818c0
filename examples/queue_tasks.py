"""Tasks for several workers: put many at once, take them until nobody is left to put, however many are killed meanwhile."""

import os
import signal

from procession import JoinableQueue, Process, Queue, wait


def produce(tasks, first, last):
    tasks.put_many(range(first, last))  # in the queue when it returns: no thread, nothing to flush
    tasks.close()  # "I put nothing any more"


def work(tasks, results):
    for number in tasks:  # ends when the queue is empty and nobody is left who could put
        results.put((number, number**2))


def be_killed(tasks, taken):
    taken.put(tasks.get())
    os.kill(os.getpid(), signal.SIGKILL)


tasks, results, taken = Queue(), Queue(), Queue()
producers = [Process(target=produce, args=(tasks, 500 * i, 500 * (i + 1))) for i in range(2)]
for producer in producers:
    producer.start()
wait(producers)  # (to join before anybody reads does no harm: the messages are in the queue)
print("tasks in the queue:", tasks.qsize())

victim = Process(target=be_killed, args=(tasks, taken))
victim.start()
victim.join()
print("the victim had one task:", taken.get() in range(1000), "left:", tasks.qsize())

workers = [Process(target=work, args=(tasks, results)) for _ in range(3)]
for worker in workers:
    worker.start()
tasks.close()  # we put nothing either
for worker in workers:
    worker.join()
print("results:", results.qsize(), "each once:", len(dict(results.get_many())))

kitchen = JoinableQueue()
kitchen.put_many(["soup", "bread"])
print("all done at once:", kitchen.join(timeout=0.01))
for _ in range(2):
    print("served", kitchen.get())
    kitchen.task_done()
print("all done:", kitchen.join())
