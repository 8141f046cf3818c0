"""Five philosophers and five forks: each needs two, and if each took its left one first, all could starve.

`acquire_all` takes several locks in an order that is the same for all, so two such calls never wait for each other.
"""

from procession import Lock, Process, Value, acquire_all

COUNT, MEALS = 5, 20


def dine(left, right, meals):
    for _ in range(MEALS):
        with acquire_all(left, right):
            meals.value += 1  # (a philosopher's own; nobody else writes to it)


forks = [Lock() for _ in range(COUNT)]
meals = [Value("i", 0, lock=False) for _ in range(COUNT)]
philosophers = [
    Process(target=dine, args=(forks[i], forks[(i + 1) % COUNT], meals[i]), name=f"philosopher {i}")
    for i in range(COUNT)
]
for philosopher in philosophers:
    philosopher.start()
for philosopher in philosophers:
    philosopher.join()
print("meals:", [meal.value for meal in meals])

forks[0].acquire()
try:
    with acquire_all(*forks, timeout=0.05):
        print("cannot be")
except TimeoutError:
    print("not all within the time; taken:", sum(fork.locked() for fork in forks), "(our own)")
