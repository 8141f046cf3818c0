"""The commons read as a file: what is decoded is what the native core says of itself."""

from __future__ import annotations

import os
import struct

import pytest

from procession import _native
from procession.observe import layout
from procession.observe.families import survey
from procession.process.family import family


def own_commons() -> tuple[int, layout.Header]:
    family.ensure()
    fd = _native.commons_fd()
    return fd, layout.decode_header(os.pread(fd, layout.HEADER_SIZE, 0))


def test_the_header_is_the_native_one() -> None:
    _, header = own_commons()
    facts = _native.commons_facts()
    assert f"{header.family:016x}" == facts["family"]
    for key in ("founded", "root_slot", "started", "alive", "most_alive", "failed", "killed", "left_over"):
        assert getattr(header, key) == facts[key], key


def test_every_record_is_the_native_one() -> None:
    fd, header = own_commons()
    native = {record["slot"]: record for record in _native.table_list()}
    assert native
    for slot in range(header.slots_used):
        record = layout.decode_record(slot, os.pread(fd, 256, layout.TABLE + slot * 256))
        if record is None:
            continue
        theirs = native[slot]
        assert record.generation << 32 | slot == theirs["member"]
        assert record.parent_generation << 32 | record.parent_slot == theirs["parent"]
        for key in ("state", "flags", "pid", "start_time", "born", "wait_kind", "wait_slot", "wait_since", "name"):
            assert getattr(record, key) == theirs[key], key


def test_we_see_ourselves() -> None:
    family.ensure()
    seen = survey()
    member = next(f.members[os.getpid()] for f in seen.families if os.getpid() in f.members)
    assert member.kind == "process"
    assert member.stat.pid == os.getpid()


@pytest.mark.parametrize(("at", "what"), [(0, "Q"), (8, "I"), (12, "I"), (40, "I")])
def test_another_layout_is_refused(at: int, what: str) -> None:
    fd, _ = own_commons()
    data = bytearray(os.pread(fd, layout.HEADER_SIZE, 0))
    struct.pack_into("=" + what, data, at, 7)
    with pytest.raises(layout.OtherLayout):
        layout.decode_header(bytes(data))


def test_too_short_is_refused() -> None:
    with pytest.raises(layout.OtherLayout):
        layout.decode_header(b"")


def test_a_foreign_file_of_our_name_is_left_out_with_a_note() -> None:
    import mmap

    fd = os.memfd_create("procession", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, 8192)
        with mmap.mmap(fd, 8192):
            seen = survey()
    finally:
        os.close(fd)
    assert any(str(os.getpid()) in text for text in seen.refused)
