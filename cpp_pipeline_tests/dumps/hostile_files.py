"""Archives, tables and folders made to harm their reader.

Each case is a function of (dump folder, folder outside the dump), with the reason that the quarantine must name, or
'' where the dump is read without harm.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cpp_pipeline_tests.dumps.hostile_git import CONFIGS, GOOD, OBJECTS, OUT, SECRET, Case

SPACES = "".join(map(chr, (9, 11, 12, 28, 29, 30, 31, 32, 133, 160, 5760, *range(8192, 8208), 8232, 8233, 8239, 8287)))
SPACES += "\u3000\ufeff\u200b\u180e"


def tar(name: str, *members: tuple[str, bytes, bytes, str], mode: str = "w:gz") -> Case:
    """An archive of (name, type, data, link) and the good file."""

    def make(dump: Path, outside: Path) -> None:
        with tarfile.open(dump / name, mode, format=tarfile.PAX_FORMAT) as packed:  # type: ignore[call-overload]
            for path, kind, data, link in (*members, ("p/good.cc", tarfile.REGTYPE, GOOD, "")):
                info = tarfile.TarInfo(path.replace("{outside}", str(outside)))
                info.type, info.linkname, info.size = kind, link.replace("{outside}", str(outside)), len(data)
                packed.addfile(info, io.BytesIO(data))

    return make


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = SECRET, link: str = "") -> Case:
    return tar("a.tar.gz", (name, kind, data if kind == tarfile.REGTYPE else b"", link))


def through_link(dump: Path, outside: Path) -> None:
    tar("a.tar", ("p/l", tarfile.SYMTYPE, b"", "{outside}"), ("p/l/x.cc", tarfile.REGTYPE, SECRET, ""), mode="w")(
        dump, outside
    )


def pax_header(dump: Path, _outside: Path) -> None:
    """An extended header of 50 MB, which the standard library would hold in memory."""
    with tarfile.open(dump / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as packed:
        info = tarfile.TarInfo("p/a.cc")
        info.pax_headers = {"comment": "x" * 50_000_000}
        packed.addfile(info)


def sparse(dump: Path, _outside: Path) -> None:
    """A GNU sparse file that says it has a terabyte."""
    head = tarfile.TarInfo("p/sparse.cc")
    head.type, head.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(head.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    block[483:495] = b"%011o\0" % (1 << 32)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    (dump / "a.tar").write_bytes(bytes(block) + b"x" * 512 + bytes(1024))


def packed_bomb(name: str, pack: Callable[[bytes], bytes]) -> Case:
    """A tar file of zeros, packed."""

    def make(dump: Path, _outside: Path) -> None:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as packed:
            info = tarfile.TarInfo("p/zeros.cc")
            info.size = 100_000_000
            packed.addfile(info, io.BytesIO(bytes(info.size)))
        (dump / name).write_bytes(pack(raw.getvalue()))

    return make


def stream_bomb(dump: Path, _outside: Path) -> None:
    """Some kilobytes of gzip that unpacks to one line of hundreds of megabytes."""
    part = gzip.compress(bytes(1 << 26), 9)
    (dump / "a.jsonl.gz").write_bytes(part * 6)


def great_dictionary(dump: Path, _outside: Path) -> None:
    """An xz file that makes its reader reserve 1.5 GB."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    data = bytearray(lzma.compress(b'{"content": "int a;"}\n', filters=filters))
    # Byte 16 of the stream is the dictionary size of the first block; the header's checksum follows.
    size = (data[12] + 1) * 4
    data[16] = 40 - 3
    data[12 + size - 4 : 12 + size] = struct.pack("<L", zlib.crc32(data[12 : 12 + size - 4]))
    (dump / "a.jsonl.xz").write_bytes(data)


def zipped(*members: tuple[str, bytes, int]) -> Case:
    """A zip archive of (name, data, Unix mode) and the good file."""

    def make(dump: Path, _outside: Path) -> None:
        with zipfile.ZipFile(dump / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data, mode in (*members, ("p/good.cc", GOOD, 0o100644)):
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                packed.writestr(info, data, zipfile.ZIP_DEFLATED)

    return make


def overlapping_zip(dump: Path, outside: Path) -> None:
    """Every member of the directory points at one kernel of data."""
    zipped(*((f"p/{i}.cc", bytes(1_000_000), 0o100644) for i in range(20)))(dump, outside)
    data = bytearray((dump / "a.zip").read_bytes())
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 42 : at + 46] = bytes(4)
        at = data.find(b"PK\1\2", at + 4)
    (dump / "a.zip").write_bytes(data)


def encrypted_zip(dump: Path, outside: Path) -> None:
    zipped(("p/a.cc", SECRET, 0o100644))(dump, outside)
    data = bytearray((dump / "a.zip").read_bytes())
    at = data.find(b"PK\1\2")
    data[at + 8] |= 1
    (dump / "a.zip").write_bytes(data)


def zip_of_many(dump: Path, _outside: Path) -> None:
    """A directory that says it has 2^40 members."""
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    (dump / "a.zip").write_bytes(
        end64 + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 0, 2**32 - 1, 0)
    )


def nested(dump: Path, outside: Path) -> None:
    """An archive inside an archive is no source file and is not opened."""
    inner = outside / "inner"
    inner.mkdir()
    packed_bomb("bomb.tar.gz", gzip.compress)(inner, outside)
    tar("a.tar.gz", ("p/bomb.tar.gz", tarfile.REGTYPE, (inner / "bomb.tar.gz").read_bytes(), ""))(dump, outside)


def lines(*texts: bytes) -> Case:
    """A JSONL file that ends with a good record."""

    def make(dump: Path, _outside: Path) -> None:
        good = json.dumps({"content": GOOD.decode(), "path": "good.cc"}).encode()
        (dump / "a.jsonl").write_bytes(b"\n".join((*texts, good)))

    return make


def table(dump: Path) -> Path:
    """A parquet file of two row groups."""
    rows = pa.table({"content": [GOOD.decode(), "int b;\n"], "path": ["good.cc", "b.cc"]})
    pq.write_table(rows, dump / "a.parquet", row_group_size=1)
    return dump / "a.parquet"


def damaged_parquet(where: str) -> Case:
    def make(dump: Path, _outside: Path) -> None:
        file = table(dump)
        data = bytearray(file.read_bytes())
        length = struct.unpack("<L", data[-8:-4])[0]
        if where == "footer":
            data[-8 - length : -8] = b"\x9d" * length
        elif where == "footer length":
            data[-8:-4] = struct.pack("<L", 2**32 - 1)
        elif where == "pages":
            data[4 : len(data) - 8 - length] = b"\xff" * (len(data) - 12 - length)
        else:
            del data[len(data) // 2 :]
        file.write_bytes(data)

    return make


def great_value(dump: Path, _outside: Path) -> None:
    """A parquet file of some kilobytes with one text of 150 MB."""
    rows = pa.table({"content": [" " * 150_000_000], "path": ["bomb.cc"]})
    pq.write_table(rows, dump / "a.parquet", compression="zstd")


def great_dictionary_page(dump: Path, _outside: Path) -> None:
    """Rows that all repeat one text of 10 MB: 2 GB from a few kilobytes."""
    index = pa.array([0] * 200, pa.int32())
    column = pa.DictionaryArray.from_arrays(index, pa.array([" " * 10_000_000]))
    rows = pa.table({"content": column, "path": [f"{i}.cc" for i in range(200)]})
    pq.write_table(rows, dump / "a.parquet", compression="zstd", dictionary_pagesize_limit=1 << 30)


def good_folder(dump: Path) -> Path:
    (dump / "good.cc").write_bytes(GOOD)
    return dump


def pipe(dump: Path, _outside: Path) -> None:
    os.mkfifo(good_folder(dump) / "pipe.cc")


def sock(dump: Path, _outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(good_folder(dump))  # the path of a socket may have 107 bytes only
        try:
            server.bind("s.cc")
        finally:
            os.chdir(here)


def device(dump: Path, _outside: Path) -> None:
    try:
        os.mknod(good_folder(dump) / "zero.cc", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:  # not root: a pipe stands for it
        os.mkfifo(dump / "zero.cc")


def link(target: str, name: str = "link.cc") -> Case:
    def make(dump: Path, outside: Path) -> None:
        (outside / "secret.cc").write_bytes(SECRET)
        (good_folder(dump) / name).symlink_to(target.replace("{outside}", str(outside)))

    return make


def manifest(content: bytes | None) -> Case:
    def make(dump: Path, outside: Path) -> None:
        good_folder(dump)
        (outside / "m.json").write_bytes(b'{"licence": "int secret_of_the_outside;"}')
        if content is None:
            (dump / "manifest.json").symlink_to(outside / "m.json")
        else:
            (dump / "manifest.json").write_bytes(content)

    return make


def odd_names(dump: Path, _outside: Path) -> None:
    folder = os.fsencode(good_folder(dump))
    for name in (b"\xff\xfe.cc", b"new\nline.cc", b"tab\t.cc", b"\\xff\\xfe.cc", "\u202ecc.x.cc".encode(), b"-rf.cc"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(GOOD)
    (dump / f"s{SPACES.replace(chr(10), '')}.cc").write_text("int s;\n")


def odd_spaces(dump: Path, _outside: Path) -> None:
    good_folder(dump)
    (dump / "spaces.cc").write_text("".join(f"int{c}a{ord(c)};\n" for c in SPACES))


def deep_folders(dump: Path, _outside: Path) -> None:
    handle = os.open(good_folder(dump), os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=handle)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("deep.cc", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)


ARCHIVES: dict[str, tuple[Case, str]] = {
    "tar member '..'": (member("../up.cc"), "archive member that climbs out with '..'"),
    "tar member '..' inside": (member("p/../../up.cc"), "archive member that climbs out with '..'"),
    "tar member with an absolute name": (member("{outside}/abs.cc"), "archive member with an absolute or foreign name"),
    "tar member with backslashes": (member("..\\up.cc"), "archive member with an absolute or foreign name"),
    "tar member with a drive": (member("C:up.cc"), "archive member with an absolute or foreign name"),
    "tar member with a name of 10,000 bytes": (
        member("p/" + "n" * 10_000 + ".cc"),
        "archive member with a name too long",
    ),
    "symbolic link in a tar": (member("p/l.cc", tarfile.SYMTYPE, link="/etc/passwd"), "archive member is a link"),
    "hard link in a tar": (member("p/l.cc", tarfile.LNKTYPE, link="{outside}/secret.cc"), "archive member is a link"),
    "a member through a link": (through_link, "archive member is a link"),
    "character device in a tar": (member("p/d.cc", tarfile.CHRTYPE), "archive member is a device"),
    "block device in a tar": (member("p/d.cc", tarfile.BLKTYPE), "archive member is a device"),
    "pipe in a tar": (member("p/d.cc", tarfile.FIFOTYPE), "archive member is a device"),
    "the same member twice": (member("p/good.cc", data=b"int first;\n"), "repeated archive member"),
    "a member below a file": (
        tar("a.tar", ("p/a.cc", tarfile.REGTYPE, b"", ""), ("p/a.cc/b.cc", tarfile.REGTYPE, b"", ""), mode="w"),
        "archive member cannot be written",
    ),
    "members that differ in case": (member("p/GOOD.cc", data=b"int upper;\n"), ""),
    "an extended header of 50 MB": (pax_header, "archive too large"),
    "a sparse member of 4 GB": (sparse, "too large"),
    "gzip bomb": (packed_bomb("a.tar.gz", gzip.compress), "too large"),
    "xz bomb": (packed_bomb("a.tar.xz", lzma.compress), "too large"),
    "a stream of 400 MB from 400 kB": (stream_bomb, "decompression bomb"),
    "an xz dictionary of 1.5 GB": (great_dictionary, "broken file"),
    "a bomb in an archive in an archive": (nested, ""),
    "zip member '..'": (zipped(("../up.cc", SECRET, 0o100644)), "archive member that climbs out with '..'"),
    "symbolic link in a zip": (zipped(("p/l.cc", b"/etc/passwd", 0o120777)), "archive member is a link"),
    "device in a zip": (zipped(("p/d.cc", b"", 0o020666)), "archive member is a device"),
    "zip bomb": (zipped(("p/b.cc", bytes(100_000_000), 0o100644)), "too large"),
    "zip of overlapping members": (overlapping_zip, "broken archive"),
    "zip of 2^40 members": (zip_of_many, "broken archive"),
    "encrypted zip": (encrypted_zip, "archive member is a encrypted file"),
}
TABLES: dict[str, tuple[Case, str]] = {
    "JSON a million levels deep": (lines(b"[" * 1_000_000), "broken JSON"),
    "JSON objects a million levels deep": (lines(b'{"a":' * 1_000_000), "broken JSON"),
    "a line of 40 MB": (lines(b'{"content": "' + b"x" * 40_000_000), "record too long"),
    "a line of three million lists": (lines(b"[" + b"[]," * 3_000_000 + b"[]]"), "no JSON object"),
    "a number of a million digits": (lines(b"1" * 1_000_000), "broken JSON"),
    "lone surrogates and NUL": (lines(b'{"content": "\\ud800\\u0000", "path": "a.cc"}'), "binary"),
    "a path that climbs out": (lines(b'{"content": "int a;", "path": "../../a.cc"}'), ""),
    "parquet with a damaged footer": (damaged_parquet("footer"), "broken file"),
    "parquet with an absurd footer": (damaged_parquet("footer length"), "broken file"),
    "parquet with damaged pages": (damaged_parquet("pages"), "broken file"),
    "parquet cut off": (damaged_parquet("half"), "broken file"),
    "parquet with a text of 150 MB": (great_value, "too large"),
    "parquet of 2 GB by a dictionary": (great_dictionary_page, "too large"),
}
FOLDERS: dict[str, tuple[Case, str]] = {
    "pipe": (pipe, "no regular file"),
    "socket": (sock, "no regular file"),
    "device": (device, "no regular file"),
    "link out": (link("{outside}/secret.cc"), "symbolic link out of the repository"),
    "link to a folder outside": (link("{outside}", "folder"), "symbolic link out of the repository"),
    "link to itself": (link("link.cc"), "symbolic link"),
    "link to /dev/zero": (link("/dev/zero"), "symbolic link out of the repository"),
    "manifest that is a link": (manifest(None), "broken manifest"),
    "manifest of wrong types": (manifest(b'{"fields": {"content": ["x"]}}'), "broken manifest"),
    "manifest a million levels deep": (manifest(b"[" * 900_000), "broken manifest"),
    "names in no encoding": (odd_names, ""),
    "all Unicode spaces": (odd_spaces, ""),
    "folders deeper than a path may be": (deep_folders, "unreadable folder"),
}
CASES: dict[str, tuple[Case, str]] = {
    **{name: (case, "") for name, case in CONFIGS.items()},
    **OUT,
    **OBJECTS,
    **ARCHIVES,
    **TABLES,
    **FOLDERS,
}
"""All cases by name, with the reason that the quarantine names ('' where the dump is read without harm)."""
