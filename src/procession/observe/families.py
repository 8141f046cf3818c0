"""The families on this machine: found by the shared memory that their members map, read through /proc/PID/fd.

Nothing is written, mapped or locked: the members do not notice. What is read can be a moment old by the time it is put
together, so every record is held against /proc, by pid and start time.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from procession import _native
from procession.observe import layout, procfs
from procession.observe.layout import Header, OtherLayout, Record

__all__ = ["Family", "Member", "Survey", "survey"]

_LINK = procfs.COMMONS.decode()


class Member(NamedTuple):
    """A living member: its record, and the process itself."""

    record: Record
    stat: procfs.Stat
    waits_for: str  #: what it waits for, in words; empty when for nothing that the family knows of

    @property
    def kind(self) -> str:
        """ "runner", "zygote", "spare", "guard" (helpers of ours), or "process"."""
        flags = self.record.flags
        if flags & _native.RUNNER:
            return "runner"
        if flags & _native.ZYGOTE:
            return "guard" if self.record.name == "guard" else "zygote"
        if self.record.state in (_native.ORDERED, _native.IDLE):
            return "spare"
        return "process"

    @property
    def detached(self) -> bool:
        return bool(self.record.flags & _native.DETACHED)


class Family(NamedTuple):
    """One family."""

    header: Header
    members: dict[int, Member]  #: by pid

    @property
    def id(self) -> str:
        return f"{self.header.family:016x}"


class Survey(NamedTuple):
    """All that could be seen at one time."""

    families: list[Family]
    stats: dict[int, procfs.Stat]  #: every process on the machine
    unreadable: int  #: processes of other users: they may belong to families
    refused: list[str]  #: families of other versions, and why they were not read


def survey() -> Survey:
    """Look at every process once. Takes some 20 µs per process on the machine."""
    stats = procfs.all_stats()
    carriers, unreadable = _carriers(stats)
    families, refused = {}, []
    for inode, pids in carriers.items():
        try:
            family = _read_first(pids, inode)
        except OtherLayout as error:
            refused.append(f"the family of process {pids[0]} is left out: {error}")
            continue
        if family is None:
            unreadable += len(pids)
        else:
            families[family.header.family] = family
    return Survey(sorted(families.values(), key=lambda f: f.header.founded), stats, unreadable, refused)


def _carriers(stats: dict[int, procfs.Stat]) -> tuple[dict[int, list[int]], int]:
    """For each family's memory, by inode, who maps it; and how many processes would not say."""
    carriers: dict[int, list[int]] = {}
    unreadable = 0
    for pid in stats:
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:
                lines = file.read().splitlines()
        except PermissionError:
            unreadable += 1
            continue
        except OSError:
            continue
        for inode in {int(line.split()[4]) for line in lines if line.endswith(procfs.COMMONS)}:
            carriers.setdefault(inode, []).append(pid)
    return carriers, unreadable


def _read_first(pids: list[int], inode: int) -> Family | None:
    """Read the memory through the first of them that lets us."""
    for pid in pids:
        fd = _open_commons(pid, inode)
        if fd is None:
            continue
        try:
            return _read(fd)
        finally:
            os.close(fd)
    return None


def _open_commons(pid: int, inode: int) -> int | None:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if os.readlink(path) == _LINK and os.stat(path).st_ino == inode:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        pass
    return None


def _read(fd: int) -> Family:
    header = layout.decode_header(os.pread(fd, layout.HEADER_SIZE, 0))
    data = os.pread(fd, header.slots_used * layout.RECORD_SIZE, layout.TABLE)
    records = {}
    for slot in range(len(data) // layout.RECORD_SIZE):
        record = layout.decode_record(slot, data[slot * layout.RECORD_SIZE : (slot + 1) * layout.RECORD_SIZE])
        if record is not None:
            records[slot] = record
    return Family(header, _living(records))


def _living(records: dict[int, Record]) -> dict[int, Member]:
    members = {}
    for record in sorted(records.values(), key=_helpers_first):  # (a pid with two records: the user's one stays)
        stat = procfs.stat(record.pid) if record.pid else None
        if stat is not None and stat.start_time == record.start_time:
            members[record.pid] = Member(record, stat, _waits_for(record, records))
    return members


def _helpers_first(record: Record) -> int:
    return record.flags & _native.PROCESS


def _waits_for(record: Record, records: dict[int, Record]) -> str:
    if record.wait_kind == _native.WAIT_NOTHING:
        return ""
    other = records.get(record.wait_slot)
    if record.wait_kind == _native.WAIT_JOIN:
        return f"join {other.name}" if other else "join"
    return "any of several" if record.wait_kind == _native.WAIT_ANY else f"wait {record.wait_kind}"
