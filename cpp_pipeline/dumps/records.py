"""Dumps that are tables: JSONL and parquet, one file or document a row.

Belongs here: finding the text, path, repository and licence of a record under the field names that public
data sets use (among them The Stack v1 and v2) or that a manifest names, and quarantining rows that do not fit.
Does not belong here: the guards on the text itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cpp_pipeline.dumps.items import Bad, RawFile, cut_short, printable
from cpp_pipeline.dumps.jsonl import json_records
from cpp_pipeline.dumps.kinds import Language, language_of
from cpp_pipeline.dumps.licences import declared
from cpp_pipeline.dumps.manifest import EMPTY, Manifest
from cpp_pipeline.dumps.remote import open_file
from cpp_pipeline.dumps.repairs import is_repair
from cpp_pipeline.dumps.shards import WHOLE, Shard
from cpp_pipeline.dumps.textguard import MAX_BYTES

_BATCH_ROWS = 64
_READ_BYTES = 1 << 20
FIELDS: Mapping[str, tuple[str, ...]] = {
    "content": ("content", "text", "code", "source_code", "contents"),
    "path": ("path", "file", "filename", "file_path", "max_stars_repo_path", "filepath", "file_name"),
    "repo": ("repo", "repo_name", "repository", "max_stars_repo_name", "repository_name", "repo_id", "project"),
    "licence": (
        "license", "licence", "licenses", "licences", "detected_licenses", "max_stars_repo_licenses",
        "gha_license_id", "repo_license",
    ),
    "commit": ("commit", "commit_id", "revision_id", "max_stars_repo_head_hexsha", "commit_hash"),
    "language": ("language", "lang", "gha_language", "programming_language"),
}  # fmt: skip
"""Our name -> accepted field names, in order of preference."""
_FLAGS = ("is_vendor", "is_generated")
_FILES = "files"
"""Data sets of whole repositories hold their files as a list in one row."""
_LANGUAGES: Mapping[str, tuple[Language, str]] = {
    "c++": ("cpp", ".cpp"), "cpp": ("cpp", ".cpp"), "cxx": ("cpp", ".cpp"), "c": ("c", ".c"),
    "cmake": ("cmake", ".cmake"), "": ("cpp", ".cpp"),
}  # fmt: skip
_BY_ID = (
    "it holds ids of files (blob_id) and not their text, as The Stack v2 is published: fetch the contents from "
    "Software Heritage as the data set's page tells, and put them into a column `content`"
)


def from_jsonl(
    file: Path | str, place: str, shard: Shard = WHOLE, manifest: Manifest = EMPTY
) -> Iterator[RawFile | Bad]:
    """The source files of a JSONL file (plain, gz, bz2, xz or zst), line by line; repairs are no source files."""
    for item in json_records(file, place, shard):
        if isinstance(item, Bad):
            yield item
        elif not is_repair(item[1]):
            number, record = item
            yield from _files_of(record, place, number, manifest)


def from_parquet(
    file: Path | str, place: str, shard: Shard = WHOLE, manifest: Manifest = EMPTY
) -> Iterator[RawFile | Bad]:
    """The rows of a parquet file, a few at a time; only the columns that are needed are read."""
    try:
        with (
            open_file(str(file)) as stream,
            # Buffered and not ahead: a column chunk of a row group may be gigabytes.
            pq.ParquetFile(stream, pre_buffer=False, buffer_size=_READ_BYTES) as table,
        ):
            names = table.schema_arrow.names
            accepted = {n for name in FIELDS for n in _names(name, manifest)} | {_FILES, *_FLAGS}
            columns = sorted(accepted.intersection(names))
            if not {*_names("content", manifest), _FILES}.intersection(names):
                wanted = f"name the column with the file's text {' or '.join(FIELDS['content'])}"
                hint = _BY_ID if "blob_id" in names else f"{wanted}, or map it in manifest.json"
                if shard.tells(place):
                    yield cut_short(place, "no text column", f"columns {names}; {hint}")
                return
            number = 0
            for group in range(table.num_row_groups):
                n_rows = table.metadata.row_group(group).num_rows
                if shard.has_group(group):
                    yield from _group(table, group, columns, place, number, manifest)
                number += n_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        if shard.tells(place):
            yield cut_short(place, "broken file", f"{type(error).__name__}: {error}")


def _group(
    table: pq.ParquetFile, group: int, columns: list[str], place: str, number: int, manifest: Manifest
) -> Iterator[RawFile | Bad]:
    texts = [i for i, name in enumerate(columns) if name in _names("content", manifest)]
    for batch in table.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
        for row in range(batch.num_rows):
            number += 1
            size = max((_bytes_of(batch.column(i)[row]) for i in texts), default=0)
            if size > MAX_BYTES:
                yield Bad(f"{place}:{number}", "too large", f"{size} bytes, limit {MAX_BYTES}")
                continue
            try:
                record = {name: column[row].as_py() for name, column in zip(columns, batch.columns, strict=True)}
            except UnicodeDecodeError as error:
                yield Bad(f"{place}:{number}", "binary", f"a text column is not UTF-8: {error}")
                continue
            yield from _files_of(record, place, number, manifest)


def _bytes_of(value: pa.Scalar) -> int:
    """Bytes of a text that lies in Arrow's memory; 0 for a value of another type."""
    return value.as_buffer().size if value.is_valid and hasattr(value, "as_buffer") else 0


def _names(name: str, manifest: Manifest) -> tuple[str, ...]:
    return (manifest.fields[name],) if name in manifest.fields else FIELDS[name]


def _field(record: Mapping[str, Any], name: str, manifest: Manifest) -> Any:
    return next((record[n] for n in _names(name, manifest) if record.get(n) is not None), None)


def _string(record: Mapping[str, Any], name: str, manifest: Manifest) -> str:
    value = _field(record, name, manifest)
    return printable(value).strip() if isinstance(value, str) else ""


def _files_of(record: Mapping[str, Any], place: str, number: int, manifest: Manifest) -> Iterator[RawFile | Bad]:
    """The one file of a record, or each of the files that it lists; these take what they lack from the record."""
    where = f"{place}:{number}"
    listed = record.get(_FILES)
    if _field(record, "content", manifest) is not None or not isinstance(listed, list):
        yield _record(record, where, place, f"{number:08d}", manifest)
        return
    shared = {name: value for name, value in record.items() if name != _FILES}
    for position, item in enumerate(listed, 1):
        if isinstance(item, dict):
            own = {name: value for name, value in item.items() if value is not None}
            yield _record(shared | own, f"{where}#{position}", place, f"{number:08d}-{position:05d}", manifest)
        else:
            yield Bad(f"{where}#{position}", "no text in record", f"`{_FILES}` lists a {type(item).__name__}")


def _record(record: Mapping[str, Any], where: str, place: str, number: str, manifest: Manifest) -> RawFile | Bad:
    content = _field(record, "content", manifest)
    if isinstance(content, str):
        data = content.encode("utf-8", "surrogatepass")
    elif isinstance(content, bytes):
        data = content
    else:
        wanted = f"fields {sorted(record)[:20]}; the text is looked for in {' or '.join(_names('content', manifest))}"
        seen = _BY_ID if "blob_id" in record else wanted
        return Bad(where, "no text in record", seen, printable(repr(record)[:2000]))
    named = _string(record, "language", manifest).lower()
    path = _string(record, "path", manifest).replace("\\", "/").lstrip("/")
    if path:
        language = language_of(path)
    else:
        language, suffix = _LANGUAGES.get(named, (None, ""))
        path = f"{place}-{number}{suffix}"
    if language is None:
        return Bad(where, "not C, C++ or CMake", f"path {path!r}, language {named!r}", _show(data))
    return RawFile(
        repo=_string(record, "repo", manifest) or ".",
        path=path,
        commit=_string(record, "commit", manifest) or None,
        licence=declared(_field(record, "licence", manifest)) or manifest.licence,
        language=language,
        size_bytes=len(data),
        read=lambda: data,
        where=where,
        is_vendored=record.get("is_vendor") is True,
        is_generated=record.get("is_generated") is True,
    )


def _show(data: bytes) -> str:
    return data[:2000].decode(errors="replace")
