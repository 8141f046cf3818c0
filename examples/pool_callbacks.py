"""One task for a pool: apply waits for it, apply_async does not, and a callback is told."""

import threading

import procession
from procession import Pool

gate = procession.Event()


def cook(dish):
    if dish == "stew":
        raise ValueError("the stew has burnt")
    return f"hot {dish}"


def cook_when_told(dish):
    gate.wait()
    return cook(dish)


def serve(dish):
    served.append((dish, threading.current_thread() is not threading.main_thread()))


def clumsy(dish):
    raise RuntimeError(f"dropped the {dish}")


served, complaints, reports = [], [], []
threading.excepthook = lambda report: reports.append(str(report.exc_value))
with Pool(2) as kitchen:
    print("apply waits, and returns:", kitchen.apply(cook, ("soup",)))

    order = kitchen.apply_async(cook_when_told, ("bread",), callback=serve)
    print("apply_async returns at once; ready:", order.ready())
    try:
        order.get(timeout=0.01)
    except procession.TimeoutError:
        print("not ready within 10 ms; we do something else")
    gate.set()
    print("get waits:", order.get(), "- ready:", order.ready(), "- successful:", order.successful())
    print("the callback was told, in a thread of its own:", served)

    burnt = kitchen.apply_async(cook, ("stew",), callback=serve, error_callback=complaints.append)
    burnt.wait()
    print("error_callback:", repr(complaints[0]), "- successful:", burnt.successful())

    print("in spite of its callback:", kitchen.apply_async(cook, ("pie",), callback=clumsy).get())
    kitchen.close()  # no more orders
    kitchen.join()  # until all is done, and the workers have left
print("reported:", reports)
