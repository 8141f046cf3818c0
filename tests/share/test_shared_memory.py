"""SharedMemory and ShareableList: names that the family knows, and nothing left of them."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from holders import Holder, back_to, import_numpy, used

import procession
from procession import shared_memory
from procession.shared_memory import ShareableList, SharedMemory


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = used()
    yield
    back_to(before)
    assert procession.memory_use().names == {}


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


# --- names ---


def test_another_process_attaches_by_name(ctx: Any, name: str) -> None:
    def write(name: str) -> None:
        from procession.shared_memory import SharedMemory

        memory = SharedMemory(name)
        memory.buf[:5] = b"child"
        memory.close()

    memory = SharedMemory(name, create=True, size=100)
    process = ctx.Process(target=write, args=(name,))
    process.start()
    process.join()
    assert bytes(memory.buf[:6]) == b"child\0"
    assert not Path("/dev/shm", name).exists()
    assert (memory.size, len(memory.buf), memory.name, memory._name) == (100, 100, name, "/" + name)
    assert repr(memory) == f"SharedMemory({name!r}, size=100)"
    memory.close()
    memory.unlink()


def test_it_is_sent_as_its_name(name: str) -> None:
    memory = SharedMemory(name, create=True, size=10)
    other = pickle.loads(pickle.dumps(memory))
    other.buf[0] = 7
    assert memory.buf[0] == 7
    memory.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickle.dumps(memory))
    other.close()
    memory.close()


def test_a_name_outlives_its_maker_and_not_its_unlink(ctx: Any, name: str) -> None:
    def make(name: str) -> Any:
        from procession.shared_memory import SharedMemory

        memory = SharedMemory(name, create=True, size=100)
        memory.buf[0] = 9
        return memory

    Holder(ctx, make, name).kill()
    memory = SharedMemory(name)
    assert memory.buf[0] == 9
    memory.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    assert memory.buf[0] == 9  # (we have it still)
    memory.close()


def test_bad_input_is_refused(name: str) -> None:
    for arguments in ({"create": True, "size": 0}, {"create": True, "size": -1}, {"size": -1, "name": name}, {}):
        with pytest.raises(ValueError, match=r"'size' must|'name' can"):
            SharedMemory(**arguments)
    memory = SharedMemory(name, create=True, size=1, track=False)
    with pytest.raises(FileExistsError):
        SharedMemory(name, create=True, size=1)
    with pytest.raises(FileNotFoundError):
        SharedMemory(name + "-not")
    with pytest.raises(OSError, match="Invalid argument"):
        SharedMemory("a/b", create=True, size=1)
    with pytest.raises(OSError, match="name too long"):
        SharedMemory("x" * 300, create=True, size=1)
    with pytest.raises(ValueError, match="null"):
        SharedMemory("a\0b", create=True, size=1)
    with pytest.raises(MemoryError):
        SharedMemory(create=True, size=1 << 46)
    memory.unlink()
    with pytest.raises(FileNotFoundError):
        memory.unlink()
    memory.close()
    memory.close()


def test_a_name_that_is_in_use_is_not_taken_by_chance(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    names = [f"/psm_{name}", f"/psm_{name}", f"/psm_{name}2"]
    monkeypatch.setattr(shared_memory, "_make_filename", lambda: names.pop(0))
    first, second = SharedMemory(create=True, size=1), SharedMemory(create=True, size=1)
    assert (first.name, second.name) == (f"psm_{name}", f"psm_{name}2")
    for memory in (first, second):
        memory.close()
        memory.unlink()


def test_who_allows_both_makes_it_or_attaches(name: str) -> None:
    class Either(SharedMemory):
        _flags = os.O_CREAT | os.O_RDWR

    first, second = Either(name, size=50), Either(name, size=99)
    first.buf[0] = 3
    assert (second.size, second.buf[0]) == (50, 3)
    first.unlink()


def test_what_is_collected_in_between_may_take_names_away(name: str) -> None:
    class Owner:
        def __init__(self, name: str) -> None:
            self.memory = SharedMemory(name, create=True, size=10)
            self.self = self

        def __del__(self) -> None:
            self.memory.close()
            self.memory.unlink()

    kept = SharedMemory(name, create=True, size=10)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for i in range(200):
            Owner(f"{name}-{i}")
            SharedMemory(name).close()
            procession.memory_use()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    kept.close()
    kept.unlink()


# --- views ---


def test_a_view_keeps_it_open_and_safe(name: str) -> None:
    memory = SharedMemory(name, create=True, size=100)
    view = memory.buf[10:20]
    view[0] = 5
    with pytest.raises(BufferError):
        memory.close()
    memory.unlink()
    assert view[0] == 5
    del memory
    assert view[0] == 5
    view.release()


def test_an_array_outlives_close_and_unlink(name: str) -> None:
    numpy = import_numpy()
    memory = SharedMemory(name, create=True, size=3 << 20)
    array = numpy.ndarray((3 << 20,), "u1", buffer=memory.buf)
    array[:] = 6
    memory.close()
    memory.unlink()
    others = [SharedMemory(create=True, size=3 << 20) for _ in range(3)]
    assert (array == 6).all()
    for other in others:
        other.close()
        other.unlink()


def test_after_close_there_is_no_buffer(name: str) -> None:
    memory = SharedMemory(name, create=True, size=100)
    memory.close()
    assert memory.buf is None
    memory.unlink()


# --- others ---

PROGRAM = """
    import sys
    from {module} import SharedMemory
    memory = SharedMemory(sys.argv[1])
    memory.buf[0] += 1
    made = SharedMemory(sys.argv[1] + "-back", create=True, size=9)
    made.buf[:2] = b"ok"
"""


@pytest.mark.parametrize("module", ["procession.shared_memory", "multiprocessing.shared_memory"])
def test_a_program_that_a_member_runs_knows_the_names(program: Any, name: str, module: str) -> None:
    code = PROGRAM.format(module=module)
    if module.startswith("multiprocessing"):
        code = "\n    from procession import compat; compat.install()" + code
    memory = SharedMemory(name, create=True, size=10)
    program.env.update(os.environ, PYTHONPATH=program.env["PYTHONPATH"])
    result = program.run_script(code, name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    back = SharedMemory(name + "-back")
    assert (memory.buf[0], bytes(back.buf[:2])) == (1, b"ok")
    for one in (memory, back):
        one.close()
        one.unlink()


def test_a_program_of_nobodys_does_not(program: Any, name: str) -> None:
    memory = SharedMemory(name, create=True, size=10)
    program.env.pop("PROCESSION_MEMBER", None)
    result = program.run_script(PROGRAM.format(module="procession.shared_memory"), name)
    assert "FileNotFoundError" in result.stderr
    program.env["PROCESSION_MEMBER"] = "0123456789abcdef.00001.00000001"  # of a family that is gone
    assert "FileNotFoundError" in program.run_script(PROGRAM.format(module="procession.shared_memory"), name).stderr
    memory.close()
    memory.unlink()


def test_what_others_have_named_can_be_used(program: Any, name: str) -> None:
    result = program.run_script(
        f"""
        from multiprocessing import resource_tracker, shared_memory
        memory = shared_memory.SharedMemory({name!r}, create=True, size=100)
        memory.buf[0] = 8
        resource_tracker.unregister(memory._name, "shared_memory")
        memory.close()
        """
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert Path("/dev/shm", name).exists()
    memory = SharedMemory(name)
    assert (memory.buf[0], memory.size) == (8, 100)
    memory.close()
    memory.unlink()
    assert not Path("/dev/shm", name).exists()


def test_a_program_that_forgets_it_all_is_not_told_off(program: Any) -> None:
    program.env.pop("PROCESSION_MEMBER", None)
    result = program.run_script(
        """
        from procession.shared_memory import ShareableList, SharedMemory
        memory = SharedMemory(create=True, size=100)
        view = memory.buf[:10]
        numbers = ShareableList([1, 2, 3])
        """
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# --- lists ---


def test_a_list_is_shared(ctx: Any) -> None:
    def change(numbers: Any) -> None:
        numbers[1] = 7
        numbers[2] = "new"

    numbers = ShareableList([1, 2, "old text", None, b"bytes", 2.5, True])
    process = ctx.Process(target=change, args=(numbers,))
    process.start()
    process.join()
    assert list(numbers) == [1, 7, "new", None, b"bytes", 2.5, True]
    assert type(numbers.shm) is SharedMemory
    again = ShareableList(name=numbers.shm.name)
    assert list(again) == list(numbers)
    again.shm.close()
    numbers.shm.close()
    numbers.shm.unlink()


def test_the_module_is_there_by_attribute() -> None:
    assert sys.modules["procession.share.shared_memory"] is procession.shared_memory is shared_memory
