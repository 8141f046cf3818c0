"""What a worker keeps from task to task: its state; what it does at its beginning and at its end; and when it is replaced."""

import logging
import os
import sqlite3

from procession import Pool, ProcessPoolExecutor, current_worker


def open_database(name):
    """Once in each worker."""
    worker = current_worker()
    worker.state["base"] = base = sqlite3.connect(":memory:")
    base.execute("create table words (word)")
    base.execute("insert into words values (?)", (name,))
    logging.getLogger("base").info("worker %d is connected", worker.id)


def ask(number):
    word = current_worker().state["base"].execute("select word from words").fetchone()[0]
    return f"{word} {number}"


def close_database():
    worker = current_worker()
    worker.state["base"].close()
    return worker.id, worker.tasks_done  # goes to pool.exit_results


def serve(number):
    return os.getpid()


class Collect(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())


heard = []
logging.basicConfig(level=logging.INFO, handlers=[Collect()])  # what workers log arrives here
with Pool(2, open_database, ("answer",), exit_function=close_database) as pool:
    print(pool.map(ask, range(4), chunksize=1))
    pool.close()
    pool.join()
print("worker:", sorted(number for number, _ in pool.exit_results), end=" ")
print("tasks:", sum(done for _, done in pool.exit_results))
print(sorted(heard))
print("here is no worker:", current_worker())

with ProcessPoolExecutor(1, max_tasks_per_child=2) as pool:
    pids = list(pool.map(serve, range(6)))
print("each does two tasks, then another comes:", [pids.count(pid) for pid in dict.fromkeys(pids)])
