"""Our joins of a definition with documented declarations against libclang's canonical declaration.

Belongs here: which definitions libclang can join, which of ours are right, and the kinds of what is not. Not here: how
ours are joined (`cpp_pipeline.extract.joining`), comments of the definition itself (`libclang_pairs.py`).

libclang can join a definition without a comment of its own when its first declaration has one. A join of ours is right
when it takes the comment of that declaration, or of another declaration of the same function that libclang names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from benchmarks.common.libclang import Comment, Seen
from benchmarks.common.libclang_pairs import (
    Difference,
    Text,
    behind_code,
    blank_lines,
    no_body,
    other_declaration,
    written_by_macro,
)

_EXCERPT, _FRIEND_LINES = 200, 60


@dataclass(frozen=True)
class Place:
    """Where our documentation of a definition stands; `ambiguous` when several were found and none was taken."""

    path: Path | None = None
    line: int = 0
    ambiguous: bool = False


@dataclass
class JudgedJoins:
    """Counts of one corpus."""

    joined: int = 0
    """Ours that libclang knows."""
    correct: int = 0
    joinable: int = 0
    """What libclang can join."""
    found: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


# -- known differences ----------------------------------------------------------------------------------------


def friend_declaration(mine: Place) -> bool:
    """Ours is from a `friend` declaration: in a class template it is another function for each instance to libclang."""
    if mine.path is None:
        return False
    after = _bytes(mine.path).split(b"\n")[mine.line - 1 :]
    code = [line for line in after[:_FRIEND_LINES] if not line.strip().startswith((b"//", b"*", b"/*"))]
    return bool(re.search(rb"^[^;{}]*\bfriend\b", b"\n".join(code)))


def in_inactive_text(mine: Place, inactive: Mapping[Path, Sequence[tuple[int, int]]]) -> bool:
    """Ours is from another branch of an `#if`, which libclang does not read with these flags."""
    if mine.path is None or mine.path not in inactive:
        return False
    at = sum(len(line) + 1 for line in _bytes(mine.path).split(b"\n")[: mine.line - 1])
    return any(start <= at < end for start, end in inactive[mine.path])


def documented_itself(text: Text, f: Seen) -> bool:
    """The definition has a comment of its own."""
    return f.own is not None and not (other_declaration(text, f) or blank_lines(text, f) or behind_code(text, f))


@lru_cache(maxsize=512)
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def first_comment(f: Seen) -> Comment | None:
    """The comment right before the first declaration; None where it is that of another one, or far away."""
    doc, path = f.declared_doc, f.declared
    if doc is None or path is None or doc.path != path or doc.end > f.declared_start:
        return None
    gap = _bytes(path)[doc.end : f.declared_start]
    return None if re.search(rb"[;{}]|\n[ \t\r]*\n", gap) else doc


# -- judging --------------------------------------------------------------------------------------------------


def judge_joins(texts: Sequence[Text], ours: Mapping[tuple[Path, int], Place]) -> JudgedJoins:
    """Compare all definitions of a corpus; `ours` tells the place of our documentation by (file, end of definition).

    It holds each definition without documentation of its own that we found, with an empty place where none was joined.
    """
    judged = JudgedJoins()
    inactive = {text.path: text.seen.skipped for text in texts}
    for text in texts:
        for f in text.seen.functions:
            if no_body(text, f) or written_by_macro(text, f):
                judged.aside["no body, or written by a macro"] += 1
            elif documented_itself(text, f):
                judged.aside["documented itself"] += 1
            else:
                _judge(judged, text, f, ours.get((text.path, f.end)), inactive)
    return judged


def _judge(
    judged: JudgedJoins,
    text: Text,
    f: Seen,
    mine: Place | None,
    inactive: Mapping[Path, Sequence[tuple[int, int]]],
) -> None:
    first = first_comment(f)
    right = mine is not None and any(_is_at(mine, c) for c in (first, f.own) if c is not None)
    known = None if mine is None or right or first is not None else _known(mine, inactive)
    if known is not None:
        judged.aside[known] += 1
    elif mine is not None and mine.path is not None:
        judged.joined += 1
        judged.correct += right
        if not right:
            kind = "documented elsewhere" if first is not None else "without documentation for libclang"
            judged.differences.append(_difference(f"wrong: {kind}", text, f, first, mine))
    if first is not None:
        judged.joinable += 1
        judged.found += right
        if not right:
            judged.differences.append(_difference(f"not found: {_why(mine)}", text, f, first, mine))


def _known(mine: Place, inactive: Mapping[Path, Sequence[tuple[int, int]]]) -> str | None:
    if friend_declaration(mine):
        return "friend_declaration"
    return "in_inactive_text" if in_inactive_text(mine, inactive) else None


def _is_at(mine: Place, comment: Comment) -> bool:
    text = _bytes(comment.path)
    last = comment.line + text.count(b"\n", comment.start, comment.end)
    return mine.path == comment.path and comment.line <= mine.line <= last


def _why(mine: Place | None) -> str:
    if mine is None:
        return "the definition is not found, or has documentation of its own"
    if mine.ambiguous:
        return "ambiguous"
    return "no declaration fits" if mine.path is None else "another declaration was taken"


def _difference(kind: str, text: Text, f: Seen, first: Comment | None, mine: Place | None) -> Difference:
    shown = text.raw[f.start : f.start + _EXCERPT].decode("utf-8", "replace")
    theirs = f"libclang {first.path}:{first.line}" if first else f"libclang's first declaration {f.declared}"
    return Difference(
        kind, f"{text.path}:{f.line}", f"{theirs}; ours {mine and mine.path}:{mine and mine.line}\n{shown}"
    )
