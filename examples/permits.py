"""A semaphore limits how many do something at once. When one of them is killed, its permit goes to the next."""

import procession
from procession import BoundedSemaphore, Process


def visit(seats, conn):
    with seats:  # waits until a seat is free
        conn.send(procession.current_process().name)
        conn.recv()  # sits until it is asked to go


def guest(name):
    here, there = procession.Pipe()
    process = Process(target=visit, args=(seats, there), name=name)
    process.start()
    return process, here


seats = BoundedSemaphore(2)
ada, ada_conn = guest("Ada")
bob, bob_conn = guest("Bob")
print("seated:", sorted([ada_conn.recv(), bob_conn.recv()]), "free seats:", seats.get_value())
print("who has them:", sorted((holder.process, permits) for holder, permits in seats.holders))

eve, eve_conn = guest("Eve")
print("Eve is seated:", eve_conn.poll(0.05))
ada.kill()  # no chance to release anything
ada.join()
print("Ada was killed; seated now:", eve_conn.recv())

for conn in (bob_conn, eve_conn):
    conn.send("please go")
for process in (bob, eve):
    process.join()
print("all have gone, free seats:", seats.get_value())
