"""Our documented functions against those of libclang, file by file.

Belongs here: matching by (file, end of the definition), the known differences that are set aside before judging, and
the kinds of what remains. Not here: documentation that comes from a declaration (`libclang_joins.py`).

A pair is right when both sides attach a comment that ends at the same byte. What is set aside is no matter of being
right: libclang attaches a comment over any number of blank lines and answers with the comment of another declaration,
it knows no inactive `#if` text, and it sees functions that a macro writes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common.libclang import Seen, SeenFile
from cpp_pipeline.extract.functions import Function

_EXCERPT = 160


@dataclass(frozen=True)
class Text:
    """One file, with what libclang says of it."""

    path: Path
    raw: bytes
    seen: SeenFile

    def gap(self, f: Seen) -> bytes:
        """Text between the comment and the definition."""
        return self.raw[f.own.end : f.start] if f.own else b""


# -- known differences: each says whether a definition of libclang is set aside -------------------------------


def other_declaration(text: Text, f: Seen) -> bool:
    """The comment stands at another declaration of the function: matter of the join."""
    assert f.own is not None
    return f.own.path != text.path or f.own.end > f.start or bool(re.search(rb"[;{}]", text.gap(f)))


def blank_lines(text: Text, f: Seen) -> bool:
    """A blank line stands between: to libclang any distance is near."""
    return bool(re.search(rb"\n[ \t\r]*\n", text.gap(f)))


def behind_code(text: Text, f: Seen) -> bool:
    """Code stands before the comment on its line, as in `#include <a.h>  // for b()`."""
    assert f.own is not None
    return bool(text.raw[text.raw.rfind(b"\n", 0, f.own.start) + 1 : f.own.start].strip())


def written_by_macro(text: Text, f: Seen) -> bool:
    """A macro call such as `TEST(A, b) { }`: the function exists only after the preprocessor."""
    return f.from_macro


def no_body(text: Text, f: Seen) -> bool:
    """`= default` and `= delete` count as definitions."""
    return not f.has_body


ASIDE: tuple[Callable[[Text, Seen], bool], ...] = (
    other_declaration,
    no_body,
    written_by_macro,
    blank_lines,
    behind_code,
)


def inactive(text: Text, f: Function) -> bool:
    """Ours begins in `#if` text that is off with these flags; its end may be shared with the branch that is on."""
    return any(start <= f.start_byte < end for start, end in text.seen.skipped)


def begins_in_macro(f: Seen) -> bool:
    """A template head is written by a macro, `TEMPLATE_T int f() { }`: libclang attaches no comment to it."""
    return f.own is None and f.begins_in_macro


def trailing(f: Function) -> bool:
    """`int f() { }  ///< ...`: libclang attaches no comment behind a function."""
    return f.doc_raw.startswith(("///<", "//!<", "/**<", "/*!<"))


def abbreviated(f: Function) -> bool:
    """`void f(auto a) { }`: libclang 18 gives such a template no place."""
    return any(re.search(r"\bauto\b", kind) for kind in f.parameter_types)


# -- judging --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One pair on which the two do not agree."""

    kind: str
    place: str
    excerpt: str


@dataclass
class Judged:
    """Counts of one corpus."""

    theirs: int = 0
    found: int = 0
    ours: int = 0
    right: int = 0
    shorter: int = 0
    """Right ones whose comment begins later than libclang's, which merges line and block comments."""
    aside: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of libclang's pairs that we have."""
        return self.found / self.theirs if self.theirs else 1.0

    @property
    def precision(self) -> float:
        """Share of our pairs that libclang has."""
        return self.right / self.ours if self.ours else 1.0


def judge(texts: Sequence[Text], ours: Mapping[Path, Sequence[Function]]) -> Judged:
    """Compare all files of a corpus; `ours` are our functions by file, with and without documentation."""
    judged = Judged()
    for text in texts:
        _Comparison(text, ours[text.path], judged).run()
    return judged


class _Comparison:
    def __init__(self, text: Text, ours: Sequence[Function], judged: Judged) -> None:
        self.text, self.judged = text, judged
        self.mine = {f.end_byte: f for f in ours}
        self.theirs = {f.end: f for f in text.seen.functions}

    def run(self) -> None:
        for f in self.theirs.values():
            if f.own is not None and not self._aside(f):
                self._recall(f)
        for mine in self.mine.values():
            if mine.doc_raw:
                self._precision(mine)

    def _aside(self, f: Seen) -> bool:
        for known in ASIDE:
            if known(self.text, f):
                self.judged.aside[known.__name__] += 1
                return True
        return False

    def _recall(self, f: Seen) -> None:
        mine = self.mine.get(f.end)
        if mine is not None and inactive(self.text, mine):
            self.judged.aside["inactive"] += 1
            return
        self.judged.theirs += 1
        if mine is None:
            self._differ("lost: the function is not found", f.line, f.start, f)
        elif not mine.doc_raw:
            self._differ("lost: the function has no documentation", f.line, f.start, f)
        elif self._doc_end(mine) != (f.own.end if f.own else -1):
            self._differ("lost: another comment", f.line, f.start, f)
        else:
            self.judged.found += 1

    def _precision(self, mine: Function) -> None:
        f = self.theirs.get(mine.end_byte)
        known = self._known(mine, f)
        if known is not None:
            self.judged.aside[known] += 1
            return
        self.judged.ours += 1
        if f is None:
            self._differ("extra: libclang has no such function", mine.line, mine.start_byte)
        elif f.own is None or f.own.end != self._doc_end(mine) or f.own.path != self.text.path:
            kind = "none" if f.own is None or other_declaration(self.text, f) else "another comment"
            self._differ(f"extra: libclang attaches {kind}", mine.line, mine.start_byte, f)
        else:
            self.judged.right += 1
            self.judged.shorter += self._doc_end(mine) - len(mine.doc_raw.encode()) > f.own.start

    def _known(self, mine: Function, f: Seen | None) -> str | None:
        if inactive(self.text, mine):
            return "inactive"
        if f is None:
            return "abbreviated" if abbreviated(mine) else None
        if written_by_macro(self.text, f):
            return "ours_written_by_macro"
        if trailing(mine):
            return "trailing"
        return "begins_in_macro" if begins_in_macro(f) else None

    def _doc_end(self, mine: Function) -> int:
        doc = mine.doc_raw.encode("utf-8", "replace")
        return self.text.raw.rfind(doc, 0, mine.start_byte) + len(doc)

    def _differ(self, kind: str, line: int, start: int, f: Seen | None = None) -> None:
        first = f.own.start if f is not None and f.own is not None and f.own.end <= start else start
        shown = self.text.raw[max(first, start - _EXCERPT) : start + _EXCERPT].decode("utf-8", "replace")
        self.judged.differences.append(Difference(kind, f"{self.text.path}:{line}", shown))
