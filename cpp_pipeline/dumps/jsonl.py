"""JSON Lines of unknown origin: one object a line, in bounded memory.

Belongs here: lines, their length limit, and lines that are no JSON object; a shard's part of a file. Does not
belong here: what a record means (`records.py`, `repairs.py`).
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from cpp_pipeline.dumps.items import Bad, cut_short
from cpp_pipeline.dumps.packed import TooMuch, counted, is_packed, open_packed, unpacked_limit
from cpp_pipeline.dumps.progress import Progress
from cpp_pipeline.dumps.remote import open_file, size_of
from cpp_pipeline.dumps.shards import WHOLE, Range, Shard

MAX_LINE_BYTES = 16_000_000
"""Text of a 2 MB file with every character escaped as `\\uXXXX`, and room for the other fields."""
_READ_BYTES = 1 << 20


def json_records(file: Path | str, place: str, shard: Shard = WHOLE) -> Iterator[tuple[int, dict[str, Any]] | Bad]:
    """(line number from 1, object) of a JSONL file, plain or packed as gz, bz2, xz or zst; empty lines are no records.

    Parameters
    ----------
    file
        Path or URL.
    place
        The file's name inside the dump, for messages.
    shard
        Which of the lines are read: a range of bytes at line ends, or of a packed file blocks of lines.

    Raises
    ------
    ValueError
        The file is not the one that was split.
    """
    part = shard.ranges.get(place)
    if part is not None and size_of(str(file)) < part.end:
        raise ValueError(f"{place} is shorter than it was when the dump was split; remove the dump and add it again")
    if part is None and not shard.is_whole and shard.rule != "units" and not is_packed(place):
        return  # a file that came later belongs to no shard before the dump is added anew
    try:
        with open_file(str(file), part.start if part else 0) as raw:
            stream = open_packed(raw, place)
            if is_packed(place):
                stream = counted(stream, unpacked_limit(size_of(str(file))))
            for number, (line, cut) in enumerate(_lines(stream, part), part.first_line if part else 1):
                if part is None and not shard.has_line(number):
                    continue
                if cut:
                    yield Bad(f"{place}:{number}", "record too long", f"more than {MAX_LINE_BYTES} bytes", _show(line))
                elif line.strip():
                    yield _record(line, f"{place}:{number}", number)
    except TooMuch as error:
        if shard.tells(place):
            yield cut_short(place, "decompression bomb", error)
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        if part is not None or shard.tells(place):
            yield cut_short(place, "broken file", f"{type(error).__name__}: {error}")


def line_ranges(file: Path | str, count: int, progress: Progress) -> list[Range]:
    """Cut a plain JSONL file into `count` ranges of whole lines of about equal size; some may be empty.

    The file is read once from end to end: the ranges know the numbers of their first lines.
    """
    size = size_of(str(file))
    cuts = [size * i // count for i in range(1, count)]
    starts, lines = [0], [1]
    position, n_lines = 0, 0
    with open_file(str(file)) as stream:
        while chunk := stream.read(8 * _READ_BYTES):
            while cuts and cuts[0] < position + len(chunk):
                # The range begins after the first line end at or after the cut; without one here, look on.
                end = chunk.find(b"\n", max(0, cuts[0] - position))
                if end < 0:
                    break
                starts.append(position + end + 1)
                lines.append(n_lines + chunk.count(b"\n", 0, end + 1) + 1)
                cuts.pop(0)
            n_lines += chunk.count(b"\n")
            position += len(chunk)
            progress.add(len(chunk))
    missing = count - len(starts)
    starts += [position] * missing
    lines += [n_lines + 1] * missing
    ends = [*starts[1:], position]
    return [Range(*found) for found in zip(starts, ends, lines, strict=True)]


def _record(line: bytes, where: str, number: int) -> tuple[int, dict[str, Any]] | Bad:
    try:
        record = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        return Bad(where, "broken JSON", str(error), _show(line))
    if not isinstance(record, dict):
        return Bad(where, "no JSON object", f"a {type(record).__name__}", _show(line))
    return number, record


def _lines(stream: IO[bytes], part: Range | None) -> Iterator[tuple[bytes, bool]]:
    """Lines of at most MAX_LINE_BYTES; of a longer one the beginning, marked, and the rest is passed over."""
    rest = b""
    skipping = False
    left = part.end - part.start if part else None
    while chunk := bytes(stream.read(_READ_BYTES if left is None else min(_READ_BYTES, left))):
        if left is not None:
            left -= len(chunk)
        if skipping:
            _, end, chunk = chunk.partition(b"\n")
            if not end:
                continue
            skipping = False
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line, False
        if len(rest) > MAX_LINE_BYTES:
            yield rest[:2000], True
            rest, skipping = b"", True
    if rest and not skipping:
        yield rest, False


def _show(data: bytes) -> str:
    return data[:2000].decode(errors="replace")
