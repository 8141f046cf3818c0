"""Arrays of numpy in the family's memory: sent without a copy, and gone with their last user."""

from __future__ import annotations

import array
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from holders import Holder, back_to, import_numpy, used

import procession
from procession import _native

np = import_numpy()
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = used()
    yield
    gc.collect()
    back_to(before)


def is_common(thing: Any) -> bool:
    from procession.share import arrays

    return arrays._place(thing) is not None


# --- making ---


@pytest.mark.parametrize("dtype", ["u1", "f8", "c16", "M8[ns]", "U5", [("a", "i4"), ("b", "f8", (2,))]])
@pytest.mark.parametrize("shape", [(), 3, (2, 3), (0, 4), (4, 0, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_they_are_as_numpys(dtype: Any, shape: Any, order: str) -> None:
    ours, theirs = procession.zeros(shape, dtype, order=order), np.zeros(shape, dtype, order=order)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert ours.strides == theirs.strides or ours.size == 0
    assert (ours == theirs).all()
    assert type(ours) is np.ndarray
    assert ours.flags.writeable


def test_full_has_the_type_of_its_value() -> None:
    assert procession.full((2, 2), 7).dtype == np.full((2, 2), 7).dtype
    assert (procession.full(3, 2.5, "f4") == np.float32(2.5)).all()
    assert (procession.full((2, 2), [1, 2]) == [[1, 2], [1, 2]]).all()


def test_zeros_are_zeros_where_something_was() -> None:
    for _ in range(4):
        numbers = procession.zeros(MIB, "u1")
        assert not numbers.any()
        numbers[:] = 255
        del numbers


def test_asarray_copies_once() -> None:
    source = np.arange(12.0).reshape(3, 4)
    ours = procession.asarray(source)
    source[0, 0] = 99
    assert ours[0, 0] == 0
    assert procession.asarray(ours) is ours
    view = ours[::2, 1:]
    assert procession.asarray(view) is view
    assert procession.asarray(ours, "f4") is not ours


@pytest.mark.parametrize(
    "thing",
    [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), array.array("i", [1, 2]), [1, 2.5], 7, np.ones((3, 2), order="F"),
     np.arange(20)[::-3], np.zeros((0, 3))],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_asarray_takes_what_numpy_takes(thing: Any) -> None:
    ours = procession.asarray(thing)
    expected = np.frombuffer(thing, "u1") if isinstance(thing, (bytes, bytearray)) else np.asarray(thing)
    assert (ours.dtype, ours.shape, ours.flags.fnc) == (expected.dtype, expected.shape, expected.flags.fnc)
    assert (ours == expected).all()
    assert is_common(ours) or ours.size == 0


def test_bad_input_is_refused() -> None:
    for dtype in (object, [("a", "i4"), ("b", "O")]):
        with pytest.raises(TypeError, match="objects of Python"):
            procession.empty(2, dtype)
    with pytest.raises(TypeError, match="objects of Python"):
        procession.asarray([{}])
    with pytest.raises(ValueError, match="negative"):
        procession.empty((2, -1))
    with pytest.raises(TypeError):
        procession.empty("2")
    for size in (1 << 40, 1 << 70):
        with pytest.raises(MemoryError):
            procession.zeros(size)


def test_without_numpy_the_error_says_so() -> None:
    code = "import sys; sys.modules['numpy'] = None; import procession; from procession import *; procession.zeros(3)"
    env = {**os.environ, "PYTHONPATH": str(Path(procession.__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "ImportError: arrays in shared memory need numpy: pip install 'procession[numpy]'" in result.stderr


# --- sending ---


def test_a_child_writes_into_it(ctx: Any) -> None:
    def add(numbers: Any, part: Any) -> None:
        numbers += 1
        part[...] = 50

    numbers = procession.zeros((4, 6))
    process = ctx.Process(target=add, args=(numbers, numbers[::-2, 1:5:2]))
    process.start()
    process.join()
    expected = np.ones((4, 6))
    expected[::-2, 1:5:2] = 50
    assert (numbers == expected).all()


def test_it_goes_through_a_pipe_and_comes_back() -> None:
    def change(pipe: Any) -> None:
        numbers = pipe.recv()
        numbers[0] = 5
        pipe.send(numbers[10:20])
        pipe.recv()

    ours, theirs = procession.Pipe()
    process = procession.Process(target=change, args=(theirs,))
    process.start()
    theirs.close()
    numbers = procession.zeros(10**6)
    ours.send(numbers)
    assert ours.poll(20)
    part = ours.recv()
    part[:] = 8
    assert (numbers[0], numbers[10], numbers[20]) == (5, 8, 0)
    ours.send("end")
    process.join()
    ours.close()


def test_shape_strides_order_and_whether_it_can_be_written_stay() -> None:
    base = procession.asarray(np.arange(24).reshape(2, 3, 4))
    frozen = base[0]
    frozen.flags.writeable = False
    for thing in (base.T, base[::-1, :, ::2], frozen, base[1, 2, 3:4], base.view("u1")):
        copy = pickle.loads(procession.reducer.ForkingPickler.dumps(thing))
        assert (copy == thing).all()
        assert (copy.strides, copy.dtype, copy.flags.writeable) == (thing.strides, thing.dtype, thing.flags.writeable)
        assert np.shares_memory(copy, thing)


def test_others_are_sent_as_ever() -> None:
    for thing in (np.arange(5), np.array([{}, None]), np.zeros(0), procession.zeros((0, 3)), np.float64(2)):
        copy = pickle.loads(procession.reducer.ForkingPickler.dumps([thing, thing]))
        assert np.array_equal(copy[0], thing)
        assert copy[0] is copy[1]


def test_plain_pickle_copies() -> None:
    numbers = procession.zeros(10)
    copy = pickle.loads(pickle.dumps(numbers))
    numbers[0] = 1
    assert copy[0] == 0


# --- memory ---


def private_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) * 1024


def test_an_array_for_four_costs_no_private_memory() -> None:
    size = 128 * MIB

    def look(numbers: Any) -> Any:
        numbers.sum()
        return numbers

    numbers = procession.zeros(size, "u1")
    few = [Holder(procession, look, numbers[:4096]) for _ in range(4)]
    before = sum(private_bytes(holder.process.pid) for holder in few)
    many = [Holder(procession, look, numbers) for _ in range(4)]
    after = sum(private_bytes(holder.process.pid) for holder in many)
    for holder in few + many:
        holder.end()
    assert after - before < size / 20
    assert used() >= size


def test_views_outlive_the_array_and_the_last_gives_it_back(ctx: Any) -> None:
    before, numbers = used(), procession.zeros(4 * MIB, "u1")
    part = numbers[100:200]
    part[:] = 7
    holder = Holder(ctx, lambda thing: thing, part)
    del numbers
    others = procession.full(4 * MIB, 9, "u1")
    assert (part == 7).all()
    del part
    assert used() - before >= 8 * MIB
    holder.kill()
    del others, holder
    back_to(before)


def test_who_are_killed_at_any_time_leave_nothing(ctx: Any) -> None:
    """Children take arrays, make their own, start children with them and let go of them, and are killed in the midst of it,
    some before they began."""

    def hold(given: Any) -> None:
        import threading

        threading.Event().wait()

    def juggle(given: Any) -> None:
        import procession

        kept: list[Any] = []
        for turn in range(10**9):
            if turn % 20 == 7:
                procession.Process(target=hold, args=(kept[-2],)).start()
            kept.append(procession.zeros(200_000, "u1"))
            kept.append(procession.asarray(kept[-1][:1000].copy()))
            memory = procession.shared_memory.SharedMemory(create=True, size=5000)
            memory.unlink()
            kept.append(memory.buf[:10] if len(kept) % 2 else given[:10])
            del kept[:-5]

    before = used()
    for turn in range(12):
        given = procession.zeros(100_000, "u1")
        both = [ctx.Process(target=juggle, args=(given,)) for _ in range(2)]
        for process in both:
            process.start()
        threading.Event().wait(turn * turn % 7 * 0.011)  # (another moment each time)
        for process in both:
            process.kill()
        for process in both:
            process.join()
    del process, both, given
    gc.collect()
    for name in procession.memory_use().names:  # (killed between create and unlink: a name is the family's)
        procession.shared_memory.SharedMemory(name).unlink()
    back_to(before)


def test_a_fork_of_the_programs_own_holds_what_it_had() -> None:
    before = used()
    numbers = procession.full(5 * MIB, 3, "u1")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0 if (numbers == 3).all() else 1)
    os.close(reader)
    del numbers
    others = procession.full(5 * MIB, 4, "u1")
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert used() > before
    del others
    back_to(before)


def test_memory_use_says_who_has_what() -> None:
    def keep(numbers: Any) -> Any:
        import procession

        return numbers, procession.zeros(3 * MIB, "u1")

    numbers = procession.zeros(8 * MIB, "u1")
    holder = Holder(procession, keep, numbers)
    memory = procession.shared_memory.SharedMemory("named", create=True, size=1000)
    use = procession.memory_use()
    by_pid = {user.pid: user.bytes for user in use.users}
    assert by_pid[os.getpid()] >= 8 * MIB
    assert 11 * MIB <= by_pid[holder.process.pid] < 12 * MIB
    assert use.total == _native.commons_facts()["arena_used"]
    assert use.names == {"named": 1000}
    assert use.room is None or use.room > 0
    memory.unlink()
    memory.close()
    os.kill(holder.process.pid, signal.SIGKILL)
    holder.kill()
    assert holder.process.pid not in {user.pid for user in procession.memory_use().users}
