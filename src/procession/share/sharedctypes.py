"""Value, Array and their kin: `ctypes` objects in the family's memory, as `multiprocessing.sharedctypes`.

Beside that module's: they can be sent to any process of the family at any time, not only at its start.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from procession import _native
from procession.core.stdlib import mp_reduction
from procession.process.context import default_context
from procession.share.heap import BufferWrapper
from procession.sync.locks import RLock

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

#: As of the module `array`.
typecode_to_type: dict[Any, Any] = {
    "c": ctypes.c_char, "u": ctypes.c_wchar,
    "b": ctypes.c_byte, "B": ctypes.c_ubyte, "h": ctypes.c_short, "H": ctypes.c_ushort, "i": ctypes.c_int, "I": ctypes.c_uint,
    "l": ctypes.c_long, "L": ctypes.c_ulong, "q": ctypes.c_longlong, "Q": ctypes.c_ulonglong,
    "f": ctypes.c_float, "d": ctypes.c_double,
}  # fmt: skip


def _type_of(typecode_or_type: Any) -> Any:
    type_ = typecode_to_type.get(typecode_or_type, typecode_or_type)
    if isinstance(type_, str):
        known = ", ".join(map(repr, typecode_to_type))
        raise TypeError(f"no such type code: {type_!r}; there are {known}")
    if not isinstance(type_, type) or not hasattr(type_, "from_buffer"):
        raise TypeError(f"expected a type code or a type of ctypes; got {typecode_or_type!r}")
    return type_


def _new_value(type_: Any) -> Any:
    return rebuild_ctype(type_, BufferWrapper(ctypes.sizeof(type_)), None)


def RawValue(typecode_or_type: Any, *args: Any) -> Any:
    """A ctypes object in shared memory, without a lock.

    Raises TypeError for what is neither a type code nor a type of ctypes, MemoryError when there is no memory.
    """
    obj = _new_value(_type_of(typecode_or_type))
    ctypes.memset(ctypes.addressof(obj), 0, ctypes.sizeof(obj))
    obj.__init__(*args)
    return obj


def RawArray(typecode_or_type: Any, size_or_initializer: Any) -> Any:
    """A ctypes array in shared memory, without a lock: so many zeros, or these values.

    Raises as `RawValue`, and ValueError for a negative size.
    """
    type_ = _type_of(typecode_or_type)
    if not isinstance(size_or_initializer, int):
        result = _new_value(type_ * len(size_or_initializer))
        result.__init__(*size_or_initializer)
        return result
    if size_or_initializer < 0:
        raise ValueError(f"Array length must be >= 0, not {size_or_initializer}")
    obj = _new_value(type_ * size_or_initializer)
    ctypes.memset(ctypes.addressof(obj), 0, ctypes.sizeof(obj))
    return obj


def _with_lock(obj: Any, lock: Any, ctx: Any) -> Any:
    if lock is False:
        return obj
    if lock is True or lock is None:
        lock = (ctx or default_context).RLock()
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx=ctx)


def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """A ctypes object in shared memory with a lock around it: an RLock, or the one that is given. ``lock=False``: without."""
    return _with_lock(RawValue(typecode_or_type, *args), lock, ctx)


def Array(typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True, ctx: Any = None) -> Any:
    """A ctypes array in shared memory with a lock around it. As `Value`."""
    return _with_lock(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def copy(obj: Any) -> Any:
    """A ctypes object in shared memory with the value of `obj`, and without a lock."""
    new = _new_value(type(obj))
    ctypes.pointer(new)[0] = obj
    return new


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
    """`obj`, a ctypes object in shared memory, with a lock around it."""
    if isinstance(obj, SynchronizedBase):
        raise AssertionError("object already synchronized")
    if isinstance(obj, ctypes._SimpleCData):
        return Synchronized(obj, lock, ctx)
    if isinstance(obj, ctypes.Array):
        return (SynchronizedString if obj._type_ is ctypes.c_char else SynchronizedArray)(obj, lock, ctx)
    return _class_for(type(obj))(obj, lock, ctx)


def _class_for(type_: Any) -> Any:
    """Of a structure: each of its fields is a property."""
    made = class_cache.get(type_)
    if made is None:
        fields = {field[0]: make_property(field[0]) for field in type_._fields_}
        made = class_cache[type_] = type("Synchronized" + type_.__name__, (SynchronizedBase,), fields)
    return made


# --- sending ---


def reduce_ctype(obj: Any) -> tuple[Any, ...]:
    if issubclass(type(obj), ctypes.Array):
        return rebuild_ctype, (obj._type_, obj._wrapper, obj._length_)
    return rebuild_ctype, (type(obj), obj._wrapper, None)


def rebuild_ctype(type_: Any, wrapper: BufferWrapper, length: int | None) -> Any:
    if length is not None:
        type_ = type_ * length
    mp_reduction.ForkingPickler.register(type_, _reduce_if_shared)
    obj = type_.from_buffer(wrapper.create_memoryview())
    obj._wrapper = wrapper
    return obj


def _reduce_if_shared(obj: Any) -> Any:
    return reduce_ctype(obj) if hasattr(obj, "_wrapper") else obj.__reduce__()


def _rebuild_synchronized(parts: tuple[Any, ...], lock: Any) -> Any:
    return synchronized(rebuild_ctype(*parts), lock)


# --- objects with a lock ---

prop_cache: dict[str, Any] = {}
class_cache: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def make_property(name: str) -> Any:
    """A property `name` of what is guarded, read and written under the lock."""
    if name not in prop_cache:
        prop_cache[name] = _native.GuardedName(name)
    return prop_cache[name]


class SynchronizedBase(_native.Guarded):
    """A ctypes object with a lock around it. `get_obj()` and `get_lock()` give the two."""

    def __init__(self, obj: Any, lock: Any = None, ctx: Any = None) -> None:
        if not lock:
            lock = (ctx or default_context).RLock()
        simple = type(obj).__base__ is ctypes._SimpleCData
        self._hold(obj, lock, type(lock) is RLock, obj._type_ if simple else "")

    # (no attributes of the instance: then the interpreter finds the others sooner)
    acquire = property(lambda self: self._lock.acquire)
    release = property(lambda self: self._lock.release)

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._lock.__exit__(*error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_synchronized, (reduce_ctype(self._obj)[1], self._lock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wrapper for {self._obj}>"


class Synchronized(SynchronizedBase):
    """A number, or a character."""

    value = make_property("value")


class SynchronizedArray(SynchronizedBase):
    """An array; items and slices are read and written under the lock."""

    def __len__(self) -> int:
        return len(self._obj)

    def __getitem__(self, i: Any) -> Any:
        return self._get_item(i)

    def __setitem__(self, i: Any, value: Any) -> None:
        self._set_item(i, value)

    def __getslice__(self, start: int, stop: int) -> Any:
        return self._get_item(slice(start, stop))

    def __setslice__(self, start: int, stop: int, values: Any) -> None:
        self._set_item(slice(start, stop), values)


class SynchronizedString(SynchronizedArray):
    """An array of bytes."""

    value = make_property("value")
    raw = make_property("raw")
