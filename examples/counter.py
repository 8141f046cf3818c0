"""A race: two add one to the same number, and one of the two additions is lost. With a lock none is.

To add is three steps: read, add, write. The race is between the first and the last of them. So that it is lost every time,
and not once in a thousand, the two meet between the steps.
"""

from procession import Barrier, Lock, Process, Value


def add_in_a_race(number, meeting):
    seen = number.value
    meeting.wait()  # both have read, neither has written
    number.value = seen + 1


def add_many(number, lock):
    for _ in range(1000):
        with lock:  # one at a time; whoever comes meanwhile waits here
            number.value += 1


def run(*processes):
    for process in processes:
        process.start()
    for process in processes:
        process.join()


number = Value("i", 0, lock=False)  # a number in shared memory, without a lock of its own
meeting = Barrier(2)
run(*[Process(target=add_in_a_race, args=(number, meeting)) for _ in range(2)])
print("without a lock, 1 + 1 is", number.value)

number.value = 0
lock = Lock()
run(*[Process(target=add_many, args=(number, lock)) for _ in range(4)])
print("with a lock, 4 times 1000 is", number.value)
