"""`multiprocessing.shared_memory`, `.sharedctypes` and `.heap` are ours after `install()`, theirs after `uninstall()`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., str]

LOOK = """
def look():
    import multiprocessing
    from multiprocessing import heap, managers, shared_memory, sharedctypes
    things = (shared_memory.SharedMemory, shared_memory.ShareableList, sharedctypes.Value, sharedctypes.Synchronized,
              heap.BufferWrapper, managers.shared_memory.SharedMemory, type(multiprocessing.Value("i")))
    return {thing.__module__.partition(".")[0] for thing in things}
"""


@pytest.mark.parametrize("before", ["pass", "look()", "from multiprocessing import managers"])
def test_installed_and_uninstalled(run: Run, before: str) -> None:
    out = run(
        f"""{LOOK}
{before}
from procession import compat
compat.install()
print(look())
compat.uninstall()
print(look())
compat.install()
print(look())
""",
        install=False,
    )
    assert out == "{'procession'}\n{'multiprocessing'}\n{'procession'}\n"


def test_a_program_that_shares_memory(run: Run) -> None:
    out = run(
        """
        import os
        from multiprocessing import Array, Manager, Process, Value
        from multiprocessing.managers import SharedMemoryManager
        from multiprocessing.shared_memory import SharedMemory

        def work(name, number, array, names):
            SharedMemory(name).buf[0] = 7
            with number.get_lock():
                number.value += 1
            array[1] = 5
            names["child"] = True

        if __name__ == "__main__":
            with SharedMemoryManager() as shared, Manager() as manager:
                memory, number, array, names = shared.SharedMemory(10), Value("i", 1), Array("i", 3), manager.dict()
                process = Process(target=work, args=(memory.name, number, array, names))
                process.start()
                process.join()
                print(memory.name in os.listdir("/dev/shm"), memory.buf[0], number.value, array[:], dict(names))
        """
    )
    assert out == "False 7 2 [0, 5, 0] {'child': True}\n"
