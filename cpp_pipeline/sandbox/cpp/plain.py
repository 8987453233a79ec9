"""Which candidates are plain enough to be compiled together with others.

Belongs here: that rule, and the one by which text is known not to compile. A plain candidate is a function with the
job's own signature and functions that it calls. None of them can run anything before `main`, name another candidate,
or unbalance the text around it. Not here: what a body declares (`scopes`), and the lists of words (`names`).
The rule errs on the side of "not plain": such code is compiled alone, which is slower and never wrong.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.cpp.declared import (
    CLOSE,
    OPEN,
    Token,
    parameter_names,
    partners,
    qualified,
    shape,
    skip_references,
    text_at,
    type_end,
)
from cpp_pipeline.sandbox.cpp.lexer import tokens
from cpp_pipeline.sandbox.cpp.names import (
    BARE,
    CALLS,
    HEADERS,
    KEYWORDS,
    MACROS,
    PLAIN_BEFORE_PARENTHESIS,
    RESERVED,
    SIMPLE,
    STD_NAMES,
    TEMPLATES,
    TYPES,
)
from cpp_pipeline.sandbox.cpp.prelude import read_prelude
from cpp_pipeline.sandbox.cpp.scopes import scopes

_DIGRAPHS = ("<%", "%>", "<:", ":>", "%:", "??")
_MAX_CHARS = 20_000
_TAKEN = STD_NAMES | KEYWORDS | BARE


@dataclass(frozen=True)
class _Function:
    """Tokens of one function; its head has `size` of them."""

    tokens: Sequence[Token]
    size: int

    @property
    def head(self) -> Sequence[Token]:
        return self.tokens[: self.size]


def plain_preamble(preamble: str) -> bool:
    """True for includes of harmless standard headers, `using namespace std;` and plain functions only."""
    return _defined_by(preamble) is not None


def is_plain(code: str, signature: str, name: str, preamble: str = "") -> bool:
    """True when the candidate may share a translation unit with others."""
    return not obstacle(code, signature, name, preamble)


def obstacle(code: str, signature: str, name: str, preamble: str = "") -> str:
    """Why the candidate has to be compiled alone; empty when it is plain.

    The functions of a plain `preamble` may be called; without it they are unknown names.
    """
    if len(code) > _MAX_CHARS:
        return "its text is too long"
    found, head = tokens(code), tokens(signature.strip().rstrip("{;"))
    if found is None or not head:
        return "its text cannot be read with certainty"
    functions = _functions(found)
    if functions is None:
        return "it does not consist of functions"
    entry = shape(head, name)
    if [shape(f.head, name) for f in functions].count(entry) != 1:
        return "it does not have the signature"
    known = _defined_by(preamble) or frozenset()
    for function in functions:
        own = name if shape(function.head, name) == entry else _helper_name(function.head)
        if not own or own in known or _forbidden_head(function.head):
            return f"its function {own or '?'!r} is not plain"
        if why := _obstacle_in(function, own, known | {own}):
            return why
        known |= {own}
    return ""


@functools.lru_cache(maxsize=256)
def _defined_by(preamble: str) -> frozenset[str] | None:
    """Names of the functions that a plain preamble defines; None when it is not plain."""
    lead = read_prelude(preamble)
    found = tokens(lead.rest)
    functions = None if found is None else _functions(found)
    if functions is None or not lead.headers <= HEADERS or lead.names:
        return None
    known: frozenset[str] = frozenset()
    for function in functions:
        own = _helper_name(function.head)
        if not own or own in known or _obstacle_in(function, own, known | {own}):
            return None
        known |= {own}
    return known


def unbalanced(code: str, preamble: str) -> str:
    """Why the code cannot compile whatever its names mean; empty where only a compiler can tell.

    Brackets of a C++ translation unit match (grammar of declarations and statements, [gram]). That is decided
    here for text that the lexer reads with certainty, without macros that open or close brackets and without
    digraphs. Such code is most of what an untrained model writes, and costs a compiler run each.
    """
    lead = read_prelude(code)
    found = tokens(lead.rest)
    if found is None or not plain_preamble(preamble) or not plain_preamble(code[: len(code) - len(lead.rest)]):
        return ""
    if any(mark in lead.rest for mark in ("#", "pthread_cleanup", *_DIGRAPHS)):
        return ""
    stack: list[str] = []
    for _, text in found:
        if text in OPEN:
            stack.append(text)
        elif text in CLOSE and (not stack or OPEN.index(stack.pop()) != CLOSE.index(text)):
            return f"error: '{text}' closes nothing that is open"
    return f"error: '{stack[-1]}' is never closed" if stack else ""


def _functions(found: list[Token]) -> list[_Function] | None:
    """The functions that a text consists of; None where there is something else."""
    partner = partners(found)
    functions: list[_Function] = []
    start = at = 0
    while partner is not None and at < len(found):
        text = found[at][1]
        if text == "{":
            functions.append(_Function(found[start : partner[at] + 1], at - start))
            start = partner[at] + 1
        elif text in (";", "#"):
            return None
        at = partner[at] + 1 if text in OPEN else at + 1
    return None if partner is None or start != len(found) else functions


def _forbidden_head(head: Sequence[Token]) -> bool:
    return any(
        text in RESERVED - {"void"} or text in MACROS or text.startswith(("_", "judge")) or "__" in text
        for _, text in head
    )


def _helper_name(head: Sequence[Token]) -> str:
    """Name of a function whose head is a type, a name and parameters; empty for any other."""
    end = skip_references(head, 1 if text_at(head, 0) == "void" else type_end(head, 0))
    name = text_at(head, end)
    if end == 0 or parameter_names(head, end + 1) is None or _forbidden_head(head):
        return ""
    return "" if name in _TAKEN or name.isupper() or not name.isidentifier() else name


def _obstacle_in(function: _Function, own: str, functions: frozenset[str]) -> str:
    """What in a function speaks against it. `functions` are those that it may call."""
    found, size = function.tokens, function.size
    partner = partners(found)
    assert partner is not None, "a part of what has partners"
    parameters = next((at for at in range(size) if text_at(found, at) == "(" and text_at(found, at - 1) == own), -1)
    declared = scopes(found, partner, parameters)
    # A variable called like a type makes a comparison look like a declaration: then it is a type only behind `std::`.
    hidden = frozenset(found[at][1] for at in declared) & (SIMPLE | TEMPLATES)
    if hidden:
        declared = scopes(found, partner, parameters, hidden)
        if not {found[at][1] for at in declared} & (SIMPLE | TEMPLATES) <= hidden:
            return "it declares names that are types of the standard library"
    inside = qualified(found, hidden)
    known: Counter[str] = Counter(functions)
    leaving: defaultdict[int, list[str]] = defaultdict(list)
    for at, token in enumerate(found):
        known.subtract(leaving.pop(at, ()))
        if at in declared:
            known[token[1]] += 1
            leaving[declared[at]].append(token[1])
        if at < size:
            continue
        if own in STD_NAMES and token[1] == own and text_at(found, at - 1) not in (".", "->", "::"):
            return f"it uses {own!r}, which is its own name and one of the standard library"
        if at in declared and text_at(found, at + 1) == "(" and _may_be_function(found, at + 2):
            return f"{token[1]!r} may be declared as a function"
        if not _harmless(found, at, inside, known):
            return f"{token[1]!r}"
    return ""


def _may_be_function(found: Sequence[Token], at: int) -> bool:
    """True where what stands in the parenthesis before `at` may be parameters."""
    return text_at(found, at) == ")" or type_end(found, at) > at


def _harmless(found: Sequence[Token], at: int, inside: set[int], known: Counter[str]) -> bool:
    kind, text = found[at]
    previous, following = text_at(found, at - 1), text_at(found, at + 1)
    if previous == "." and text_at(found, at - 2) == ".":  # an ellipsis, behind which stands no member
        previous = "..."
    if text == "#" or (text == "::" and at not in inside) or (text == "[" and following == "["):
        return False
    if not _harmless_pointer(found[at - 1], text, following):
        return False
    if kind != "name":
        return True
    if previous == "::":
        return text in STD_NAMES or text_at(found, at - 2) != "std"
    return _harmless_name(text, previous, following, known)


def _harmless_name(text: str, previous: str, following: str, known: Counter[str]) -> bool:
    """`known` are the function's own names here; `previous` is not `::`."""
    if text in KEYWORDS:
        return following != "(" or text in CALLS or text in PLAIN_BEFORE_PARENTHESIS
    if text in RESERVED or text in MACROS or text.startswith(("_", "judge")) or "__" in text:
        return False
    if following == "(" and len(text) > 2 and text.isupper():  # this is how headers write macros with parameters
        return False
    if text == "std":
        return following == "::"
    if previous in (".", "->") or known[text] > 0 or text in STD_NAMES:
        return True
    return following != "(" and text in BARE


def _harmless_pointer(before: Token, text: str, following: str) -> bool:
    kind, previous = before
    if text == "*":
        return previous not in TYPES | {">", "*", "const"} and following not in (")", ">", ",", "*", "const", "&")
    if text == "&" and kind != "number":  # a reference, a conjunction of bits, or a capture; never an address
        return (kind == "name" and previous not in CALLS - TYPES) or previous in (">", ")", "]", "[")
    return text not in ("->*", ".*")
