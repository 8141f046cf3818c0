"""Numbers that several processes have in common: a Value, an Array, and a lock around each.

`counter.value += 1` is two steps, a read and a write. Each of them takes the lock; for both together take it yourself.
"""

from procession import Array, Process, Value


def count(counter, times):
    for _ in range(times):
        with counter.get_lock():  # nobody else between the read and the write
            counter.value += 1


def square(numbers, first, last):
    for i in range(first, last):
        numbers[i] = numbers[i] ** 2


def run(*processes):
    for process in processes:
        process.start()
    for process in processes:
        process.join()


counter = Value("i", 0)
run(*[Process(target=count, args=(counter, 1000)) for _ in range(4)])
print("counted to", counter.value)

numbers = Array("d", range(8))
run(Process(target=square, args=(numbers, 0, 4)), Process(target=square, args=(numbers, 4, 8)))
print("squares:", numbers[:])

try:
    Array("i", -1)
except ValueError as error:
    print("refused:", error)
