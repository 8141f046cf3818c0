"""The canteen: guests order, the kitchen cooks one dish after another. Four ways to pass the time until the dish is there.

Synchronous: the guest looks. Asynchronous: the guest is called. Blocking: the guest does nothing else meanwhile.
"""

import asyncio
import threading
import time

import procession

doors = procession.Event()


def cook(dish):
    doors.wait()  # (dishes are not ready before we want to show how it is to wait)
    return f"hot {dish}"


def open_soon():
    doors.clear()
    threading.Timer(0.05, doors.set).start()


kitchen = procession.DispatchQueue("kitchen")  # serial: one cook
print("synchronous and blocking: Ada stands in the queue until the dish is handed to her")
open_soon()
print("  Ada has", kitchen.sync(cook, "soup"))

print("synchronous and not blocking: Bob reads, and looks up after each page whether it is his turn")
open_soon()
order, pages = kitchen.async_(cook, "bread"), 0
while not order.done():
    time.sleep(0.005)  # a page
    pages += 1
print("  Bob has", order.result(), "and has read meanwhile:", pages > 1)

print("asynchronous and blocking: Eve and Kay have numbers, and sit there until one is called")
open_soon()
numbers = {kitchen.async_(cook, "pie"): "Eve", kitchen.async_(cook, "tea"): "Kay"}
for order in procession.as_completed(numbers):
    print(" ", numbers[order], "is called for", order.result())

print("asynchronous and not blocking: Joe plays, and whoever calls his number finds him")
doors.clear()
found = threading.Event()
kitchen.async_(cook, "stew").add_done_callback(lambda order: (print("  Joe is called for", order.result()), found.set()))
print("  Joe plays")
doors.set()
found.wait()


async def table():
    open_soon()
    orders = [kitchen.async_(cook, dish) for dish in ("rice", "fish")]
    print("  at a table, in an event loop, each with a number:", await asyncio.gather(*orders))


asyncio.run(table())
