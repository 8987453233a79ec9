"""Parsing of untrusted C++ within bounds.

Belongs here: what is refused before parsing, the time limit on a parse, and object-like macros, which are
blanked because the grammar does not know them.
Does not belong here: what is read off the tree (`functions.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import tree_sitter_cpp
from tree_sitter import Language, Parser, Tree

MAX_BYTES = 2_000_000
MAX_LINE_BYTES = 20_000
MAX_MEAN_LINE_BYTES = 500
MAX_NESTING = 1_000
PARSE_SECONDS = 5.0

_READ_BYTES = 65_536


@lru_cache(maxsize=1)
def parser() -> Parser:
    """The process's parser: building one costs more than a small file."""
    return Parser(Language(tree_sitter_cpp.language()))


def parse_guarded(source: bytes, seconds: float = PARSE_SECONDS) -> Tree | None:
    """Parse, or return None after `seconds` of wall time.

    The progress callback is asked only when the source comes from a read callback. A stopped parser
    resumes the stopped source at its next parse unless it is reset.
    """
    view, started, p = memoryview(source), time.perf_counter(), parser()
    try:
        return p.parse(
            lambda offset, _point: bytes(view[offset : offset + _READ_BYTES]),
            progress_callback=lambda _offset, _error: time.perf_counter() - started > seconds,
        )
    except ValueError:
        p.reset()
        return None


def _deepest(codes: np.ndarray, opening: bytes, closing: bytes) -> int:
    step = (codes == ord(opening)).astype(np.int32) - (codes == ord(closing))
    depth = np.cumsum(step)
    return int((depth - np.minimum.accumulate(np.minimum(depth, 0))).max(initial=0))


def refusal(source: bytes) -> str | None:
    """Why `source` is not parsed, or None.

    Each bound stands for an input on which the parser takes minutes or gigabytes: binary data is not
    linear, and depth costs memory and the stack of whatever walks the tree.
    """
    if len(source) > MAX_BYTES:
        return f"{len(source)} bytes, limit {MAX_BYTES}"
    if b"\0" in source[:8192]:
        return "binary: a NUL byte"
    if source.count("\ufffd".encode()) > max(8, len(source) // 100):
        return "binary: undecodable bytes"
    codes = np.frombuffer(source, np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    lines = np.diff(np.r_[-1, ends, len(codes)]) - 1
    if lines.max(initial=0) > MAX_LINE_BYTES:
        return f"a line of {lines.max()} bytes, limit {MAX_LINE_BYTES}"
    if len(source) > MAX_LINE_BYTES and lines.mean() > MAX_MEAN_LINE_BYTES:
        return f"lines of {lines.mean():.0f} bytes on average, limit {MAX_MEAN_LINE_BYTES}"
    angles = np.flatnonzero(codes == ord("<"))
    breaks = np.flatnonzero(np.isin(codes, np.frombuffer(b";{}", np.uint8)))
    runs = np.bincount(np.searchsorted(breaks, angles)) if len(angles) else np.zeros(1, np.int64)
    depth = max(_deepest(codes, b"{", b"}"), _deepest(codes, b"(", b")"), int(runs.max()))
    if depth > MAX_NESTING:
        return f"nested {depth} deep, limit {MAX_NESTING}"
    return None


# -- macros ------------------------------------------------------------------------------------------

_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?!\w|\()((?:[^\\\n]|\\.)*)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\\\n", re.DOTALL)
_TRANSPARENT = re.compile(
    r"""\[\[ [^\]]* \]\]
      | __attribute__ \s* \( \( (?:[^()]|\((?:[^()]|\([^()]*\))*\))* \) \)
      | __declspec \s* \( [^()]* \)  |  __pragma \s* \( (?:[^()]|\([^()]*\))* \)  |  _Pragma \s* \( [^()]* \)
      | (?:inline\s+)? namespace (?:\s+[\w:]+)? \s* \{  |  \}  |  extern \s* "C(?:\+\+)?" \s* \{?
    """,
    re.VERBOSE,
)
_KEYWORD_TEXT = """
    inline static extern constexpr constinit consteval const virtual explicit noexcept override
    final register volatile __inline __inline__ __forceinline __restrict __restrict__ __extension__
    __cdecl __stdcall __fastcall __vectorcall __thiscall __host__ __device__ __global__ restrict
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())
_ROUNDS = 3


class MacroDefinitions:
    """Object-like macros of one repository that may be blanked without changing the structure."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def add(self, text: str) -> None:
        """Note the object-like definitions of one file."""
        if "define" not in text:
            return
        for match in _DEFINE.finditer(text):
            value = _COMMENT.sub(" ", match[2]).strip()
            if len(value) < 1_000:
                self._values.setdefault(match[1], set()).add(value)

    def transparent(self) -> tuple[str, ...]:
        """Names all of whose definitions are attributes, specifiers or namespace braces, sorted.

        Also through other such macros, three levels deep.
        """
        known: set[str] = set()
        words = {
            name: {frozenset(_TRANSPARENT.sub(" ", value).split()) for value in values}
            for name, values in self._values.items()
            if len(name) > 1
        }
        for _ in range(_ROUNDS):
            allowed = _KEYWORDS | known
            known |= {name for name, sets in words.items() if all(s <= allowed for s in sets)}
        return tuple(sorted(known))


_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*+")


@lru_cache(maxsize=64)
def _blank_pattern(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    alternatives = b"|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    directive = rb"^[ \t]*#(?:[^\\\n]|\\.)*"
    return re.compile(directive + rb"|\b(?P<name>" + alternatives + rb")\b", re.MULTILINE | re.DOTALL)


def blank(source: bytes, names: Iterable[str]) -> bytes:
    """Overwrite each named macro with as many blanks, except on directive lines; offsets stay."""
    # Only the names that occur: an alternation over all macros of a repository is tried at every word.
    present = tuple(sorted({n.encode() for n in names} & set(_IDENTIFIER.findall(source))))
    if not present:
        return source
    return _blank_pattern(present).sub(
        lambda m: m[0] if m["name"] is None else b" " * len(m[0]),
        source,
    )
