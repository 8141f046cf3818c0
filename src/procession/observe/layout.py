"""The commons as a file: its header and its process table, by the bytes that native/commons.h and native/table.h
define.

A file of another layout is refused whole (`decode_header`), so that two versions of procession never misread each
other.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from procession import _native

__all__ = ["HEADER_SIZE", "RECORD_SIZE", "TABLE", "Header", "OtherLayout", "Record", "decode_header", "decode_record"]

_HEADER = struct.Struct("=QIIQQQIIII10Q")
_RECORD = struct.Struct("=IIIIQIIQIIIIQQQQQQQQII64s64x")
HEADER_SIZE, RECORD_SIZE, TABLE = _HEADER.size, _RECORD.size, 65536

assert RECORD_SIZE == 256


class OtherLayout(Exception):
    """It is not a family's memory, or that of another version of procession."""


class Header(NamedTuple):
    """The family as a whole."""

    family: int
    founded: int  #: boot-time ns
    root_slot: int
    slots_used: int
    started: int
    alive: int
    most_alive: int
    failed: int
    killed: int
    left_over: int


class Record(NamedTuple):
    """One member. Times are boot-time ns."""

    slot: int
    generation: int
    state: int
    flags: int
    pid: int
    start_time: int
    parent_slot: int
    parent_generation: int
    born: int
    wait_kind: int
    wait_slot: int
    wait_since: int
    name: str


def decode_header(data: bytes) -> Header:
    """Raises OtherLayout."""
    if len(data) < HEADER_SIZE:
        raise OtherLayout("it is too short")
    magic, version, layout, family, founded, _, slots, root, _, used, _, *counts = _HEADER.unpack_from(data)
    if magic != _native.COMMONS_MAGIC:
        raise OtherLayout("it does not begin as a family's memory does")
    if (version, layout, slots) != (_native.COMMONS_VERSION, _native.COMMONS_LAYOUT & 0xFFFFFFFF, _native.SLOTS):
        raise OtherLayout(f"it is of another version of procession (version {version}, layout {layout:08x})")
    started, alive, most, failed, killed, left, *_ = counts
    return Header(family, founded, root, min(used, slots), started, alive, most, failed, killed, left)


def decode_record(slot: int, data: bytes) -> Record | None:
    """The member in this slot; None if nobody's."""
    f = _RECORD.unpack(data)
    state = f[0] & 0xFF
    if state in (_native.FREE, _native.CLAIMED):
        return None
    name = f[22].partition(b"\0")[0].decode(errors="replace")
    return Record(slot, f[1], state, f[3], f[2], f[4], f[5], f[6], f[7], f[10], f[11], f[12], name)
