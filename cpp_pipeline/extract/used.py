"""What of its own file a function uses.

Belongs here: the heads of types and functions that a function names. Does not belong here: name lookup; a name that
stands in the function and is declared in its file counts as used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

import polars as pl

from cpp_pipeline.extract.facts import Bare, FileFacts, Function

MAX_USED = 12
MAX_HEAD_CHARACTERS = 200

_WORD = r"[\w--\d]\w*"
_LITERAL_OR_COMMENT = r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*(?s:.*?)(?:\*/|\z)'
_LEFT_OUT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_SPACES = re.compile(r"\s+")


def words_of(code: pl.Expr) -> pl.Expr:
    """The words of C++ code outside literals and comments, each once."""
    return code.str.replace_all(_LITERAL_OR_COMMENT, " ").str.extract_all(_WORD).list.unique()


Head = tuple[str, int, int, str]
"""(name, first byte, end, text): where in its file something stands that functions may use; a declaration is told by a
text, others are read there."""


def heads_of(facts: FileFacts) -> list[Head]:
    """What functions of a file may use: first its types, then its functions, each in the order of the file."""
    both: tuple[Function | Bare, ...] = (*facts.functions, *facts.bare)
    functions = sorted((f.start_byte, f.end_byte, f.name) for f in both)
    types = [(t.name, t.start_byte, t.end_byte, "") for t in facts.types]
    declared = [(d.name, 0, 0, f"{d.name}({', '.join(d.parameter_types)})") for d in facts.declarations]
    heads = [*types, *((name, start, end, "") for start, end, name in functions), *declared]
    return [head for head in heads if head[0].isidentifier()]


def packed(heads: Iterable[Head]) -> str:
    """Heads as one text, which `unpacked` reads."""
    return "\n".join(f"{name}\t{start}\t{end}\t{text and _one_line(text)}" for name, start, end, text in heads)


def unpacked(text: str) -> list[Head]:
    """Heads of a text that `packed` made."""
    fields = (line.split("\t") for line in text.split("\n") if line)
    return [(name, int(start), int(end), said) for name, start, end, said in fields]


class Heads:
    """Heads of the types and functions of one file; `raw` is its text as UTF-8."""

    def __init__(self, heads: Sequence[Head], raw: bytes) -> None:
        self._heads, self._raw = heads, raw
        self._texts: dict[int, str] = {}
        self._places: dict[str, list[int]] = {}
        for place, (name, *_) in enumerate(heads):
            self._places.setdefault(name, []).append(place)

    def used_by(self, name: str, words: Iterable[str], most: int = MAX_USED) -> tuple[str, ...]:
        """Heads of what a function of the file names, `most` of them; `words_of` tells its words.

        First types, then functions, each in the order of the file, on one line each, of at most 200 characters:
        `class Cache : public Base`, `int find(const Key& key) const`, and of documented declarations without a body
        only the name and the types of parameters.
        """
        places = sorted(place for word in words if word != name for place in self._places.get(word, ()))
        heads = dict.fromkeys(map(self._text, places))
        return tuple(islice((head for head in heads if head), most))

    def _text(self, place: int) -> str:
        said = self._texts.get(place)
        if said is None:
            _, start, end, text = self._heads[place]
            body = self._raw.find(b"{", start, end)
            read = self._raw[start : min(body if body >= 0 else end, start + 4 * MAX_HEAD_CHARACTERS)]
            said = self._texts[place] = _one_line(text or read.decode("utf-8", "replace"))
        return said


def _one_line(text: str) -> str:
    return _SPACES.sub(" ", _LEFT_OUT.sub(" ", text)).strip()[:MAX_HEAD_CHARACTERS]
