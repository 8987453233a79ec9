"""Parsing of untrusted C++ within bounds.

Belongs here: what is refused before parsing, and the time limit on a parse.
Does not belong here: macros (`macros.py`), what is read off the tree (`functions.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import tree_sitter_cpp
from tree_sitter import Language, Parser, Range, Tree

MAX_BYTES = 2_000_000
MAX_LINE_BYTES = 20_000
MAX_MEAN_LINE_BYTES = 500
MAX_NESTING = 1_000
PARSE_SECONDS = 5.0
_UNGUARDED_BYTES = 65_536
"""Up to here no text was found that takes a second, and asking for the time takes a sixth of the whole."""


@lru_cache(maxsize=1)
def parser() -> Parser:
    """The process's parser: building one costs more than a small file."""
    return Parser(Language(tree_sitter_cpp.language()))


def parse_guarded(source: bytes, seconds: float = PARSE_SECONDS, ranges: Sequence[Range] = ()) -> Tree | None:
    """Parse, only `ranges` where some are given, or return None after `seconds` of wall time.

    The progress callback is asked only when the source comes from a read callback. A stopped parser
    resumes the stopped source at its next parse unless it is reset.
    """
    p, deadline = parser(), time.perf_counter() + seconds
    p.included_ranges = list(ranges)
    try:
        if (sum(r.end_byte - r.start_byte for r in ranges) or len(source)) <= _UNGUARDED_BYTES:
            return p.parse(source)
        return p.parse(
            lambda offset, _point: source[offset:],
            progress_callback=lambda _offset, _error: time.perf_counter() > deadline,
        )
    except ValueError:
        p.reset()
        return None
    finally:
        p.included_ranges = []


def _nesting(source: bytes) -> int:
    from cpp_pipeline.extract.nesting_kernel import nesting  # compiled code is loaded with it

    return int(nesting(np.frombuffer(source, np.uint8)))


def _long_line(source: bytes) -> int:
    """Length of the first line over the limit, 0 when there is none; looks at a few bytes of ordinary lines only."""
    start, size = 0, len(source)
    while size - start > MAX_LINE_BYTES:
        last = source.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if last < 0:
            end = source.find(b"\n", start)
            return (end if end >= 0 else size) - start
        start = last + 1
    return 0


def refusal(source: bytes) -> str | None:
    """Why `source` is not parsed, or None.

    Each bound stands for an input on which the parser takes minutes or gigabytes: binary data is not
    linear, and depth costs memory and the stack of whatever walks the tree.
    """
    size = len(source)
    if size > MAX_BYTES:
        return f"{size} bytes, limit {MAX_BYTES}"
    if b"\0" in source[:8192]:
        return "binary: a NUL byte"
    if not source.isascii() and source.count("\ufffd".encode()) > max(8, size // 100):
        return "binary: undecodable bytes"
    longest = _long_line(source)
    if longest:
        return f"a line of {longest} bytes, limit {MAX_LINE_BYTES}"
    if size > MAX_LINE_BYTES:
        mean = size / (source.count(b"\n") + 1)
        if mean > MAX_MEAN_LINE_BYTES:
            return f"lines of {mean:.0f} bytes on average, limit {MAX_MEAN_LINE_BYTES}"
    depth = _nesting(source) if size > MAX_NESTING else 0
    if depth > MAX_NESTING:
        return f"nested {depth} deep, limit {MAX_NESTING}"
    return None
