"""Waiting has four forms: synchronous or asynchronous, in place (blocking) or not."""

import asyncio
import threading

import procession
from procession import Process


def work(gate, code):
    gate.wait()
    raise SystemExit(code)


def started(count):
    gate = procession.Event()
    processes = [Process(target=work, args=(gate, code), name=f"worker {code}") for code in range(count)]
    for process in processes:
        process.start()
    return gate, processes


print("synchronous, does not wait: we ask, again and again if we like")
gate, (p,) = started(1)
p.join(0)
print("  join(0): exit code", p.exitcode)

print("synchronous, waits in place: we do nothing else until this one has ended")
gate.set()
p.join()
print("  join(): exit code", p.exitcode)

print("asynchronous, waits in place: we sleep until any of many tells us")
gate, many = started(3)
done, not_done = procession.wait(many, timeout=0.05)
print(f"  wait() with a time limit: {len(done)} ended, {len(not_done)} not")
gate.set()
done, not_done = procession.wait(many)
print("  wait():", sorted((process.name, process.exitcode) for process in done))

print("asynchronous, does not wait: we go on, and are called")
gate, (p,) = started(1)
called = threading.Event()
p.add_done_callback(lambda process: (print("  callback: exit code", process.exitcode), called.set()))
gate.set()
called.wait()


async def main():
    gate, many = started(3)
    gate.set()
    print("  await: exit codes", [await process for process in many])


asyncio.run(main())
