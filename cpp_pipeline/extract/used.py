"""What of its own file a function uses.

Belongs here: the heads of types and functions that a function names. Does not belong here: name lookup; a name that
stands in the function and is declared in its file counts as used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from cpp_pipeline.extract.facts import Bare, FileFacts, Function

MAX_USED = 12
MAX_HEAD_CHARACTERS = 200

_WORD = re.compile(r"[^\W\d]\w*")
_LITERAL_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_SPACES = re.compile(r"\s+")


class Head(NamedTuple):
    """Where in its file something stands that functions may use, up to its end; a declaration is told by `text`."""

    name: str
    start_byte: int
    end_byte: int
    text: str = ""


def heads_of(facts: FileFacts) -> list[Head]:
    """What functions of a file may use: first its types, then its functions, each in the order of the file."""
    functions: list[Function | Bare] = sorted((*facts.functions, *facts.bare), key=lambda f: f.start_byte)
    declared = (Head(d.name, 0, 0, f"{d.name}({', '.join(d.parameter_types)})") for d in facts.declarations)
    placed = (Head(item.name, item.start_byte, item.end_byte) for item in (*facts.types, *functions))
    return [head for head in (*placed, *declared) if head.name.isidentifier()]


def packed(heads: Iterable[Head]) -> str:
    """Heads as one text, which `unpacked` reads."""
    return "\n".join(f"{h.name}\t{h.start_byte}\t{h.end_byte}\t{_SPACES.sub(' ', h.text)}" for h in heads)


def unpacked(text: str) -> list[Head]:
    """Heads of a text that `packed` made."""
    fields = (line.split("\t") for line in text.split("\n") if line)
    return [Head(name, int(start), int(end), said) for name, start, end, said in fields]


class Heads:
    """Heads of the types and functions of one file; `raw` is its text as UTF-8."""

    def __init__(self, heads: Sequence[Head], raw: bytes) -> None:
        self._heads, self._raw = heads, raw
        self._texts: dict[int, str] = {}
        self._places: dict[str, list[int]] = {}
        for place, head in enumerate(heads):
            self._places.setdefault(head.name, []).append(place)

    def used_by(self, function: Function, most: int = MAX_USED) -> tuple[str, ...]:
        """Heads of what a function of the file names, `most` of them.

        First types, then functions, each in the order of the file, on one line each, of at most 200 characters:
        `class Cache : public Base`, `int find(const Key& key) const`, and of documented declarations without a body
        only the name and the types of parameters.
        """
        said = f"{function.signature} {function.body}"
        words = self._places.keys() & set(_WORD.findall(said)) - {function.name}
        if words and ('"' in said or "/" in said):  # of those in literals and comments nothing is used
            words &= set(_WORD.findall(_LITERAL_OR_COMMENT.sub(" ", said)))
        heads = dict.fromkeys(map(self._text, sorted(place for word in words for place in self._places[word])))
        return tuple(islice((head for head in heads if head), most))

    def _text(self, place: int) -> str:
        text = self._texts.get(place)
        if text is None:
            head = self._heads[place]
            body = self._raw.find(b"{", head.start_byte, head.end_byte)
            text = head.text or _one_line(self._raw, head.start_byte, body if body >= 0 else head.end_byte)
            self._texts[place] = text
        return text


def _one_line(raw: bytes, first: int, last: int) -> str:
    text = raw[first : min(last, first + 4 * MAX_HEAD_CHARACTERS)].decode("utf-8", "replace")
    return _SPACES.sub(" ", _LITERAL_OR_COMMENT.sub(" ", text)).strip()[:MAX_HEAD_CHARACTERS]
