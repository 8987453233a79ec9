"""Zip archives as a stream agree with the standard library's reading of them."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.dumps import zips

MEMBERS = st.lists(
    st.tuples(st.text("ab/é", min_size=1, max_size=8), st.binary(max_size=200), st.booleans()),
    max_size=8,
    unique_by=lambda m: m[0],
)


def pack(members: list[tuple[str, bytes, bool]], comment: bytes = b"", zip64: bool = False) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as packed:
        packed.comment = comment
        for name, data, stored in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with packed.open(info, "w", force_zip64=zip64) as out:
                out.write(data)
    return raw.getvalue()


@given(MEMBERS, st.binary(max_size=40), st.booleans())
def test_members_and_their_bytes(members: list[tuple[str, bytes, bool]], comment: bytes, zip64: bool) -> None:
    comment = comment.replace(b"P", b"")
    file = io.BytesIO(pack(members, comment, zip64))
    found = list(zips.entries(file, 100))
    assert [(e.name, b"".join(zips.chunks(file, e))) for e in found] == [(name, data) for name, data, _ in members]
    assert [e.size_bytes for e in found] == [len(data) for _, data, _ in members]


@given(MEMBERS.filter(len), st.data())
def test_a_damaged_archive_is_refused_or_read_within_its_size(
    members: list[tuple[str, bytes, bool]], data: st.DataObject
) -> None:
    raw = bytearray(pack(members))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file = io.BytesIO(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        for entry in zips.entries(file, 100):
            try:
                assert sum(map(len, zips.chunks(file, entry))) <= 1_032 * len(raw)
            except zips.BadZip as error:
                assert str(error)
    except zips.BadZip as error:
        assert str(error)


def test_the_end_of_a_large_archive_is_zip64() -> None:
    members = [(f"{i}", b"", True) for i in range(70_000)]
    file = io.BytesIO(pack(members))
    assert sum(1 for _ in zips.entries(file, 100_000)) == 70_000
    with pytest.raises(zips.BadZip, match="70000 members, limit 60000"):
        list(zips.entries(file, 60_000))


def test_a_method_that_is_not_read_is_named() -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a.cc", b"int a;")
    with pytest.raises(zips.BadZip, match="packed by method 14; pack it again"):
        list(zips.chunks(raw, next(zips.entries(raw, 9))))
