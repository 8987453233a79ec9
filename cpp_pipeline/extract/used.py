"""What of its own file a function uses.

Belongs here: the heads of types and functions that a function names. Does not belong here: name lookup; a name that
stands in the function and is declared in its file counts as used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cpp_pipeline.extract.facts import Bare, FileFacts, Function

MAX_USED = 12
MAX_HEAD_CHARACTERS = 200

_WORD = re.compile(r"[^\W\d]\w*")
_LITERAL_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_SPACES = re.compile(r"\s+")


def used_declarations(function: Function, facts: FileFacts, raw: bytes, most: int = MAX_USED) -> tuple[str, ...]:
    """Heads of the types and functions of the file that the function names.

    Parameters
    ----------
    function
        One of the file.
    facts
        Of the whole file.
    raw
        Text of the file as UTF-8: the offsets of `facts` count its bytes.
    most
        How many at most.

    Returns
    -------
    tuple[str, ...]
        First types, then functions, each in the order of the file, on one line each, of at most 200 characters:
        `class Cache : public Base`, `int find(const Key& key) const`, and of documented declarations without a body
        only the name and the types of parameters.
    """
    said = _LITERAL_OR_COMMENT.sub(" ", f"{function.signature} {function.body}")
    words = set(_WORD.findall(said)) - {function.name}
    heads = dict.fromkeys(head for name, head in _heads(facts, raw, words) if head)
    return tuple(head for head, _ in zip(heads, range(most), strict=False))


def _heads(facts: FileFacts, raw: bytes, words: set[str]) -> Iterator[tuple[str, str]]:
    for kind in facts.types:
        if kind.name in words:
            yield kind.name, _one_line(raw, kind.start_byte, kind.end_byte)
    functions: list[Function | Bare] = [*facts.functions, *facts.bare]
    for function in sorted(functions, key=lambda f: f.start_byte):
        if function.name in words:
            body = raw.find(b"{", function.start_byte, function.end_byte)
            yield function.name, _one_line(raw, function.start_byte, body if body >= 0 else function.end_byte)
    for declaration in facts.declarations:
        if declaration.name in words:
            yield declaration.name, f"{declaration.name}({', '.join(declaration.parameter_types)})"


def _one_line(raw: bytes, first: int, last: int) -> str:
    text = raw[first : min(last, first + 4 * MAX_HEAD_CHARACTERS)].decode("utf-8", "replace")
    return _SPACES.sub(" ", _LITERAL_OR_COMMENT.sub(" ", text)).strip()[:MAX_HEAD_CHARACTERS]
