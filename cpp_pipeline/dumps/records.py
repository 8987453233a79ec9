"""Dumps that are tables: JSONL and parquet, one file or document a row.

Belongs here: finding the text, path, repository and licence of a record under the field names that public
data sets use (among them The Stack v1 and v2), and quarantining rows that do not fit. Does not belong here:
the guards on the text itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cpp_pipeline.dumps.archives import open_packed
from cpp_pipeline.dumps.items import Bad, RawFile, printable
from cpp_pipeline.dumps.kinds import Language, language_of
from cpp_pipeline.dumps.licences import declared

MAX_LINE_BYTES = 64_000_000
_BATCH_ROWS = 128
FIELDS: Mapping[str, tuple[str, ...]] = {
    "content": ("content", "text", "code"),
    "path": ("path", "file", "filename", "file_path", "max_stars_repo_path"),
    "repo": ("repo", "repo_name", "repository", "max_stars_repo_name"),
    "licence": (
        "license", "licence", "licenses", "licences", "detected_licenses", "max_stars_repo_licenses",
    ),
    "commit": ("commit", "commit_id", "revision_id", "max_stars_repo_head_hexsha"),
    "language": ("language", "lang"),
}  # fmt: skip
"""Our name -> accepted field names, in order of preference."""
_LANGUAGES: Mapping[str, tuple[Language, str]] = {
    "c++": ("cpp", ".cpp"), "cpp": ("cpp", ".cpp"), "cxx": ("cpp", ".cpp"), "c": ("c", ".c"),
    "cmake": ("cmake", ".cmake"), "": ("cpp", ".cpp"),
}  # fmt: skip


def from_jsonl(file: Path, place: str) -> Iterator[RawFile | Bad]:
    """The records of a JSONL file (plain, gz, bz2, xz or zst), line by line."""
    try:
        with open_packed(file) as stream:
            yield from _lines(stream, place)
    except (OSError, EOFError, pa.ArrowException) as error:
        yield Bad(place, "broken file", f"{type(error).__name__}: {error}; the rest is not read")


def _lines(stream: Any, place: str) -> Iterator[RawFile | Bad]:
    for number, (line, cut) in enumerate(_split(stream), 1):
        where = f"{place}:{number}"
        if cut:
            yield Bad(where, "record too long", f"line of more than {MAX_LINE_BYTES} bytes", _show(line))
        elif line.strip():
            try:
                record = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                yield Bad(where, "broken JSON", str(error), _show(line))
                continue
            if isinstance(record, dict):
                yield _record(record, where, place, number)
            else:
                yield Bad(where, "no JSON object", f"a {type(record).__name__}", _show(line))


def _split(stream: Any) -> Iterator[tuple[bytes, bool]]:
    """Lines of at most MAX_LINE_BYTES; of a longer one the beginning, marked, and the rest is passed over."""
    rest = b""
    skipping = False
    while chunk := stream.read(1 << 20):
        *lines, rest = (rest + bytes(chunk)).split(b"\n") if not skipping else bytes(chunk).split(b"\n")
        if skipping and lines:
            lines, skipping = lines[1:], False
        elif skipping:
            rest = b""
        for line in lines:
            yield line, False
        if len(rest) > MAX_LINE_BYTES:
            yield rest[:2000], True
            rest, skipping = b"", True
    if rest and not skipping:
        yield rest, False


def from_parquet(file: Path, place: str) -> Iterator[RawFile | Bad]:
    """The rows of a parquet file, in batches; only the columns that are needed are read."""
    try:
        with pq.ParquetFile(file) as table:
            names = table.schema_arrow.names
            used = {n for accepted in FIELDS.values() for n in accepted if n in names}
            if not used.intersection(FIELDS["content"]):
                yield Bad(
                    place,
                    "no text column",
                    f"columns {names}; name the column with the file's text {' or '.join(FIELDS['content'])}",
                )
                return
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=sorted(used)):
                for record in batch.to_pylist():
                    number += 1
                    yield _record(record, f"{place}:{number}", place, number)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        yield Bad(place, "broken file", f"{type(error).__name__}: {error}; the rest is not read")


def _field(record: Mapping[str, Any], name: str) -> Any:
    return next((record[n] for n in FIELDS[name] if record.get(n) is not None), None)


def _string(record: Mapping[str, Any], name: str) -> str:
    value = _field(record, name)
    return printable(value).strip() if isinstance(value, str) else ""


def _record(record: Mapping[str, Any], where: str, place: str, number: int) -> RawFile | Bad:
    content = _field(record, "content")
    if isinstance(content, str):
        data = content.encode("utf-8", "surrogatepass")
    elif isinstance(content, bytes):
        data = content
    else:
        seen = f"fields {sorted(record)[:20]}; the text is looked for in {' or '.join(FIELDS['content'])}"
        return Bad(where, "no text in record", seen, printable(repr(record)[:2000]))
    named = _string(record, "language").lower()
    path = _string(record, "path").replace("\\", "/").lstrip("/")
    if path:
        language = language_of(path)
    else:
        language, suffix = _LANGUAGES.get(named, (None, ""))
        path = f"{place}-{number:08d}{suffix}"
    if language is None:
        return Bad(where, "not C, C++ or CMake", f"path {path!r}, language {named!r}", _show(data))
    return RawFile(
        repo=_string(record, "repo") or ".",
        path=path,
        commit=_string(record, "commit") or None,
        licence=declared(_field(record, "licence")),
        language=language,
        size_bytes=len(data),
        read=lambda: data,
        where=where,
    )


def _show(data: bytes) -> str:
    return data[:2000].decode(errors="replace")
