"""A daemon serves as long as its parent works.

When a parent has no more to do, it ends its daemons, and waits for its other children.
"""

import time
from pathlib import Path

import procession
from procession import Process, current_process


def bulb(switch):
    switch.send(current_process().pid)
    time.sleep(1000)


def light(switch):
    switch.send(current_process().pid)
    Process(target=bulb, args=(switch,)).start()  # a daemon may have children here: they end with it
    time.sleep(1000)


def on(pid):
    """Whether it runs. (Whoever has lost all its parents is a zombie until init, its last, has seen to it.)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cleaner(lights):
    deadline = time.monotonic() + 10
    while any(map(on, lights)) and time.monotonic() < deadline:
        time.sleep(0.001)
    print("cleaner: lights that are on:", sum(map(on, lights)), flush=True)


def shop():
    wire, switch = procession.Pipe(duplex=False)
    lamp = Process(target=light, args=(switch,), daemon=True)
    lamp.start()
    lights = [wire.recv(), wire.recv()]
    print(f"shop: lamp.daemon is {lamp.daemon}; lights that are on: {sum(map(on, lights))}", flush=True)
    Process(target=cleaner, args=(lights,)).start()  # not a daemon, and never joined
    print("shop: I have no more to do", flush=True)


day = Process(target=shop)
day.start()
day.join()
print("the shop is closed, exit code", day.exitcode)
