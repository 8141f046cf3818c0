"""The holder of a lock is killed. Nobody waits for ever: the next one gets the lock, and is told what happened."""

import time
import warnings

import procession
from procession import Lock, OwnerDied, OwnerDiedWarning, Process, Value


def transfer(lock, ours, yours, conn):
    with lock:
        ours.value -= 100
        conn.send("half way")
        time.sleep(1000)  # and here it is killed
        yours.value += 100


def killed_half_way(lock):
    ours, yours = Value("i", 500, lock=False), Value("i", 500, lock=False)
    here, there = procession.Pipe()
    process = Process(target=transfer, args=(lock, ours, yours, there), name="clerk")
    process.start()
    here.recv()
    print("the lock's holder is", lock.holder.process)
    process.kill()
    process.join()
    return ours, yours


print("a lock as it is by default warns:")
lock = Lock()
ours, yours = killed_half_way(lock)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", OwnerDiedWarning)
    with lock:
        yours.value = 1000 - ours.value  # we know what must be true, and see to it
print("  told of the death of", told[0].message.process)
print("  accounts:", ours.value, yours.value)

print("a lock that was asked to raises:")
lock = Lock(on_owner_death="raise")
ours, yours = killed_half_way(lock)
try:
    lock.acquire()
except OwnerDied as death:
    print("  refused, because of the death of", death.process)
with lock.repair():  # takes it all the same, to put things in order
    yours.value = 1000 - ours.value
with lock:
    print("  accounts:", ours.value, yours.value)
