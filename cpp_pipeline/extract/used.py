"""What of its own file a function uses.

Belongs here: the heads of types and functions that a function names. Does not belong here: name lookup; a name that
stands in the function and is declared in its file counts as used.
"""

from __future__ import annotations

import re
from itertools import islice

from cpp_pipeline.extract.facts import Bare, Declaration, FileFacts, Function, TypeHead

MAX_USED = 12
MAX_HEAD_CHARACTERS = 200

_WORD = re.compile(r"[^\W\d]\w*")
_LITERAL_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_SPACES = re.compile(r"\s+")


class Heads:
    """Heads of the types and functions of one file.

    Parameters
    ----------
    facts
        Of the whole file.
    raw
        Text of the file as UTF-8: the offsets of `facts` count its bytes.
    """

    def __init__(self, facts: FileFacts, raw: bytes) -> None:
        functions: list[Function | Bare] = sorted((*facts.functions, *facts.bare), key=lambda f: f.start_byte)
        self._items = (*facts.types, *functions, *facts.declarations)
        self._raw = raw
        self._places: dict[str, list[int]] = {}
        for place, item in enumerate(self._items):
            self._places.setdefault(item.name, []).append(place)

    def used_by(self, function: Function, most: int = MAX_USED) -> tuple[str, ...]:
        """Heads of what a function of the file names, `most` of them.

        First types, then functions, each in the order of the file, on one line each, of at most 200 characters:
        `class Cache : public Base`, `int find(const Key& key) const`, and of documented declarations without a body
        only the name and the types of parameters.
        """
        said = _LITERAL_OR_COMMENT.sub(" ", f"{function.signature} {function.body}")
        words = self._places.keys() & set(_WORD.findall(said)) - {function.name}
        heads = dict.fromkeys(map(self._head, sorted(place for word in words for place in self._places[word])))
        return tuple(islice((head for head in heads if head), most))

    def _head(self, place: int) -> str:
        item = self._items[place]
        if isinstance(item, Declaration):
            return f"{item.name}({', '.join(item.parameter_types)})"
        body = -1 if isinstance(item, TypeHead) else self._raw.find(b"{", item.start_byte, item.end_byte)
        return _one_line(self._raw, item.start_byte, body if body >= 0 else item.end_byte)


def _one_line(raw: bytes, first: int, last: int) -> str:
    text = raw[first : min(last, first + 4 * MAX_HEAD_CHARACTERS)].decode("utf-8", "replace")
    return _SPACES.sub(" ", _LITERAL_OR_COMMENT.sub(" ", text)).strip()[:MAX_HEAD_CHARACTERS]
