"""Functions that a C++ text defines at namespace scope, and names that it calls, found in its tokens.

Belongs here: where definitions begin and end, and their heads as a prototype. Not here: what they are used for
(`formats`), and the types in a prototype (`prototype`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.cpp.lexer import Piece, pieces

_HEAD_TOKENS = 1000
"""A longer declaration is not read; reading stays linear in the length of the text."""
_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")
_SPECIFIERS = frozenset(("inline", "static", "constexpr", "extern", "noexcept"))
_NO_NAMES = frozenset(("decltype", "alignas", "noexcept", "requires", "if", "while", "for", "switch", "return"))
_TIGHT_BEFORE = frozenset((",", ")", ">", "(", "::", "[", "]", "&", "&&", "*", "<", ";"))
_TIGHT_AFTER = frozenset(("(", "<", "::", "["))


@dataclass(frozen=True)
class Definition:
    """One function with a body, from `start` to `end` (behind the brace); `end` is None where it stays open.

    `problem` says why no prototype can be made of it, and is empty where `prototype` is one.
    """

    name: str
    prototype: str
    problem: str
    start: int
    body: int
    end: int | None


def definitions(code: str) -> list[Definition]:
    """Functions defined at namespace scope, in textual order; those inside of named namespaces are left out.

    Raises
    ------
    ValueError
        The text cannot be read with certainty, or its brackets do not match.
    """
    found: list[Definition] = []
    head: list[Piece] = []
    texts = [p for p in pieces(code) if p.kind != "directive"]
    at = 0
    while at < len(texts):
        piece = texts[at]
        if len(head) > _HEAD_TOKENS:
            raise ValueError(f"a declaration of more than {_HEAD_TOKENS} tokens")
        if piece.text == "{":
            behind = _behind(texts, at)
            end = None if behind is None else texts[behind - 1].at + 1
            definition = _definition(head, piece.at, end)
            if definition is not None:
                found.append(definition)
            # the body of a class and an initialiser are parts of something that a semicolon ends
            head = [*head, piece] if _goes_on([p.text for p in head]) else []
            if behind is None:
                break
            at = behind
            continue
        if piece.text in ("(", "["):
            behind = _behind(texts, at)
            if behind is None:
                raise ValueError(f"'{piece.text}' is never closed")
            head += texts[at:behind]
            at = behind
            continue
        if piece.text in _CLOSE:
            raise ValueError(f"'{piece.text}' closes nothing that is open")
        if piece.text == ";":
            head = []
        else:
            head.append(piece)
        at += 1
    return found


def called(code: str) -> set[str]:
    """Names that are called, or that a variable is made of as in `auto candidate = f;`."""
    found = [p for p in pieces(code) if p.kind != "directive"]
    texts = ["", *(p.text for p in found), "", "", "", ""]
    names = set()
    for at in range(1, len(found) + 1):
        name, before = texts[at], texts[at - 1]
        if found[at - 1].kind != "name" or before in (".", "->"):
            continue
        if texts[at + 1] == "(":
            names.add(name)
        elif name == "auto" and texts[at + 2] == "=" and texts[at + 4] == ";":
            names.add(texts[at + 3])
    return names


def _goes_on(words: Sequence[str]) -> bool:
    """Whether what has these words as head ends behind the brace that follows them."""
    block = any(word in ("namespace", "operator") for word in words) or words[:1] == ["extern"]
    return not block and _parameters_at(words) is None


def _behind(texts: Sequence[Piece], at: int) -> int | None:
    """Index behind the bracket that closes the one at `at`; None where the text ends first."""
    stack: list[str] = []
    while at < len(texts):
        text = texts[at].text
        if text in _OPEN:
            stack.append(text)
        elif text in _CLOSE:
            if _OPEN.index(stack.pop()) != _CLOSE.index(text):
                raise ValueError(f"'{text}' does not match the bracket before it")
            if not stack:
                return at + 1
        at += 1
    return None


def _definition(head: Sequence[Piece], body: int, end: int | None) -> Definition | None:
    """The function with this head; None where it heads something else."""
    words = [p.text for p in head]
    opens = _parameters_at(words)
    if opens is None:
        return None
    closes = _behind(head, opens)
    name = words[opens - 1]
    if closes is None or (opens > 1 and words[opens - 2] in ("::", "~")):
        return None
    before, after = _plain_words(words[: opens - 1]), words[closes:]
    problem = ""
    if "template" in before or any(w == "auto" for w in words[opens:closes]):
        problem = "it is a template"
    elif "friend" in before or "typedef" in before or not before:
        return None
    if after and after[0] == "->":
        before, after = _plain_words(after[1:]), []
    elif "auto" in before or "decltype" in before:
        problem = problem or "its return type is deduced"
    parameters = _without_defaults(_plain_words(words[opens:closes]))
    text = joined([*before, name, *parameters])
    return Definition(name, text, problem, head[0].at, body, end)


def _parameters_at(words: Sequence[str]) -> int | None:
    """Index of the parenthesis that opens the parameters; None where the words declare no function."""
    angles = at = 0
    while at < len(words):
        word = words[at]
        if word == "<":
            angles += 1
        elif word == ">":
            angles -= 1
        elif angles == 0 and word in ("=", "operator", "{"):
            return None
        elif word == "(" and angles == 0 and at > 0 and _is_name(words[at - 1]):
            return at
        at += 1
    return None


def _is_name(word: str) -> bool:
    return word.isidentifier() and word not in _NO_NAMES and not word.startswith("__")


def _plain_words(words: Sequence[str]) -> list[str]:
    """Words without specifiers and attributes."""
    kept: list[str] = []
    at = 0
    while at < len(words):
        if words[at] == "[" and words[at + 1 : at + 2] == ["["]:
            depth = 0
            while at < len(words):
                depth += (words[at] == "[") - (words[at] == "]")
                at += 1
                if depth == 0:
                    break
            continue
        if words[at] not in _SPECIFIERS:
            kept.append(words[at])
        at += 1
    return kept


def _without_defaults(words: Sequence[str]) -> list[str]:
    """Parameters in their parentheses without `= value`."""
    kept: list[str] = []
    depth, skipping, skipped_from = 0, False, 0
    for word in words:
        closing = word in (")", "]", "}", ">")
        if skipping and depth == skipped_from and (word == "," or closing):
            skipping = False
        depth += (word in ("(", "[", "{", "<")) - closing
        if word == "=" and not skipping:
            skipping, skipped_from = True, depth
        if not skipping:
            kept.append(word)
    return kept


def joined(words: Sequence[str]) -> str:
    """Words of a declaration with blanks where C++ is usually written with them."""
    out = ""
    for word in words:
        tight = not out or word in _TIGHT_BEFORE or any(out.endswith(t) for t in _TIGHT_AFTER)
        out += word if tight else f" {word}"
    return out
