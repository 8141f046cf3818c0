"""Start all, then join all: they work at the same time. Join in the loop: they work one after the other.

The workers try to meet. That they can when all are started before the first is joined; when each is joined before the
next is started, nobody else is ever there.
"""

from threading import BrokenBarrierError

import procession
from procession import Process


def say(line):
    print(line + "\n", end="", flush=True)  # a line in one piece and at once: others write there, too


def work(number, meeting, patience):
    say(f"  {number} begins")
    try:
        meeting.wait(patience)
        say(f"  {number} ends, met the others")
    except BrokenBarrierError:
        say(f"  {number} ends, was alone")


def workers(patience):
    meeting = procession.Barrier(3)
    return [Process(target=work, args=(number, meeting, patience)) for number in (1, 2, 3)]


say("start all, then join all:")
together = workers(patience=30)
for worker in together:
    worker.start()
for worker in together:
    worker.join()  # waits for this one; the others go on meanwhile
say("all three have ended")

say("join in the loop:")
for worker in workers(patience=0.1):
    worker.start()
    worker.join()  # the next one is not started before this one has ended
say("all three have ended")
