"""A condition: cooks and guests share a counter of three plates, and each side waits for the other without asking again.

To wait at a condition is: give the lock back, sleep until notified, take the lock again, in one step. Whoever was woken looks
anew whether what it waits for is true: another may have been quicker. `wait_for` does that.
"""

from procession import Condition, Process, Value

ROOM = 3


def cook(dishes, plates, most, counter):
    for _ in range(dishes):
        with counter:
            counter.wait_for(lambda: plates.value < ROOM)
            plates.value += 1
            most.value = max(most.value, plates.value)
            counter.notify_all()  # a guest may be waiting


def eat(dishes, plates, eaten, counter):
    for _ in range(dishes):
        with counter:
            counter.wait_for(lambda: plates.value > 0)
            plates.value -= 1
            eaten.value += 1
            counter.notify_all()  # a cook may be waiting


counter = Condition()
plates, most, eaten = (Value("i", 0, lock=False) for _ in range(3))
cooks = [Process(target=cook, args=(20, plates, most, counter)) for _ in range(2)]
guests = [Process(target=eat, args=(10, plates, eaten, counter)) for _ in range(4)]
for process in guests + cooks:
    process.start()
for process in guests + cooks:
    process.join()
print("plates eaten:", eaten.value, "left:", plates.value)
print("never more than", ROOM, "on the counter:", most.value <= ROOM)
