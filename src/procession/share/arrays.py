"""Arrays of numpy in the family's memory. Imported, and numpy with it, when one is asked for.

They are plain `numpy.ndarray`s whose base is a block. Through procession's own channels (arguments, queues, connections)
such an array, or any view of one, is sent without a copy: the other has the same memory then. Who writes where needs a lock,
or an agreement, as with all shared memory. `pickle.dumps` copies, as do channels of others.
"""

from __future__ import annotations

from typing import Any

from procession import _native
from procession.core.stdlib import mp_reduction
from procession.share import blocks

try:
    import numpy
except ImportError as error:
    raise ImportError("arrays in shared memory need numpy: pip install 'procession[numpy]'") from error

__all__ = ["asarray", "empty", "full", "zeros"]

np: Any = numpy


def empty(shape: Any, dtype: Any = float, *, order: str = "C") -> Any:
    """A new array with anything in it. Arguments as of `numpy.empty`.

    Raises TypeError for a type with Python objects in it, MemoryError when there is no memory. The memory is free when no
    process has the array, or a view of it, any more.
    """
    return _make(shape, dtype, order, clean=False)


def zeros(shape: Any, dtype: Any = float, *, order: str = "C") -> Any:
    """A new array of zeros. As `empty`."""
    return _make(shape, dtype, order, clean=True)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, order: str = "C") -> Any:
    """A new array of `fill_value`, with its type if none is given. As `empty`."""
    array = empty(shape, np.asarray(fill_value).dtype if dtype is None else dtype, order=order)
    array[...] = fill_value
    return array


def asarray(obj: Any, dtype: Any = None) -> Any:
    """`obj` as an array in shared memory: itself, if it is one of that type there; else a copy.

    Takes whatever numpy makes an array of: arrays, buffers (each byte an element unless the buffer says otherwise), Arrow's
    arrays and buffers, lists. Raises as `empty`.
    """
    source = _read(obj, dtype)
    if isinstance(obj, np.ndarray) and source.dtype == obj.dtype and _place(obj) is not None:
        return obj
    _check(source.dtype)
    if source.flags.c_contiguous and source.nbytes:
        block = blocks.copy(source.reshape(-1).view(np.uint8), _native.COMMON)
        return np.ndarray(source.shape, source.dtype, buffer=block)
    array = empty(source.shape, source.dtype, order="F" if source.flags.fnc else "C")
    array[...] = source
    return array


def _read(obj: Any, dtype: Any) -> Any:
    if isinstance(obj, (bytes, bytearray)):
        return np.frombuffer(obj, np.uint8 if dtype is None else dtype)
    return np.asarray(obj, dtype)


def _check(dtype: Any) -> None:
    if dtype.hasobject:
        raise TypeError(f"an array of {dtype} cannot be shared: it has objects of Python in it, which lie in one process")


def _make(shape: Any, dtype: Any, order: str, clean: bool) -> Any:
    dtype = np.dtype(dtype)
    _check(dtype)
    size = dtype.itemsize
    for length in (shape,) if np.ndim(shape) == 0 else shape:
        if int(length) < 0:
            raise ValueError("negative dimensions are not allowed")
        size *= int(length)
    block = blocks.make(max(size, 1), _native.COMMON, clean=clean)
    return np.ndarray(shape, dtype, buffer=block, order=order)


# --- sending ---


def _bounds(array: Any) -> tuple[int, int]:
    """The address of its first byte in memory, and how many bytes there are up to its last."""
    first = last = array.__array_interface__["data"][0]
    for length, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            first += (length - 1) * stride
        else:
            last += (length - 1) * stride
    return first, last + array.itemsize - first


def _place(array: Any) -> tuple[Any, int] | None:
    """The shared block that it lies in, and where in it its first element is; None: it lies elsewhere."""
    if array.size == 0 or array.dtype.hasobject:
        return None
    first, size = _bounds(array)
    found = _native.block_find(first, size)
    if found is None:
        return None
    return found[0], found[1] + array.__array_interface__["data"][0] - first


class _Itself:
    """Pickles as numpy has it, by whichever protocol, past our own reducer."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._array.__reduce_ex__(protocol)


def _same(thing: Any) -> Any:
    return thing


def _attach(block: Any, offset: int, shape: Any, strides: Any, dtype: Any, writeable: bool) -> Any:
    array = np.ndarray(shape, dtype, buffer=block, offset=offset, strides=strides)
    array.flags.writeable = writeable
    return array


def reduce_array(array: Any) -> tuple[Any, ...]:
    """For picklers of ours: by handle if it lies in shared memory, else as numpy does."""
    place = _place(array)
    if place is None:
        return _same, (_Itself(array),)
    return _attach, (*place, array.shape, array.strides, array.dtype, array.flags.writeable)


mp_reduction.ForkingPickler.register(np.ndarray, reduce_array)
