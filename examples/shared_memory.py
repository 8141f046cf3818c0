"""Memory with a name: any process of the family finds it, and a program that one of them runs, too.

It is the family's. `unlink` takes the name away; if nobody does, or is killed before, the memory is gone with the family.
"""

import os
import signal
import subprocess
import sys

from procession import Process
from procession.shared_memory import ShareableList, SharedMemory

PROGRAM = """
import sys
from procession.shared_memory import SharedMemory
memory = SharedMemory(sys.argv[1])
memory.buf[5:14] = b", program"
"""


def greet(name):
    memory = SharedMemory(name)
    memory.buf[:5] = b"hello"
    os.kill(os.getpid(), signal.SIGKILL)  # it does not matter how a process ends


memory = SharedMemory(create=True, size=100)
process = Process(target=greet, args=(memory.name,))
process.start()
process.join()
subprocess.run([sys.executable, "-c", PROGRAM, memory.name], check=True)
print(bytes(memory.buf).rstrip(b"\0").decode())

view = memory.buf[:5]
memory.unlink()
try:
    SharedMemory(memory.name)
except FileNotFoundError:
    print("nobody finds it any more")
print("who has it still reads", bytes(view).decode())

numbers = ShareableList([1, 2.5, "three", None])
print(list(ShareableList(name=numbers.shm.name)))
numbers.shm.unlink()
