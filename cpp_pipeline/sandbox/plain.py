"""Which candidates are plain enough to be compiled together with others.

Belongs here: that rule, and the one by which text is known not to compile. A plain candidate is exactly one function
with the job's own signature, whose body can neither run anything before `main`, nor name another candidate, nor
unbalance the text around it. Not here: what a body declares (`declared`).
The rule errs on the side of "not plain": such code is compiled alone, which is slower and never wrong.
"""

from __future__ import annotations

import re

from cpp_pipeline.sandbox.declared import BUILTIN, SIMPLE, TEMPLATES, Token, declared, qualified, words
from cpp_pipeline.sandbox.lexer import tokens

_TYPES = BUILTIN | {"auto"}
_KEYWORDS = _TYPES | {
    *("break", "case", "const", "continue", "default", "do", "else", "false", "for", "if", "return"),
    *("sizeof", "static_cast", "switch", "true", "while"),
}
_CALLS = _TYPES | {"if", "for", "while", "switch", "return", "sizeof"}
_RESERVED = words(
    """alignas alignof and and_eq asm atomic_cancel bitand bitor catch char8_t char16_t char32_t class co_await
    co_return co_yield compl concept const_cast consteval constexpr constinit decltype delete dynamic_cast enum
    explicit export extern final friend goto import inline module mutable namespace new noexcept not not_eq
    nullptr operator or or_eq override private protected public register reinterpret_cast requires static
    static_assert struct template this thread_local throw try typedef typeid typename typeof union using virtual
    void volatile wchar_t xor xor_eq main asm unix linux errno stdin stdout stderr environ NULL
    exit _exit _Exit quick_exit abort fork vfork system kill raise signal syscall malloc free"""
)
STD_NAMES = words(
    """abs accumulate all_of any_of array back_inserter begin binary_search clamp copy count count_if deque
    distance end equal fabs fill find find_if find_if_not floor ceil gcd get greater hash int64_t int32_t
    iota is_sorted isalnum isalpha isdigit islower ispunct isspace isupper lcm less list log lower_bound
    make_pair make_tuple map max max_element merge min min_element minmax minmax_element move multimap
    multiset next next_permutation none_of nth_element numeric_limits optional nullopt pair partial_sort
    partial_sum partition plus pow prev priority_queue queue remove remove_if replace reverse rotate round set
    size size_t sort sqrt stable_sort stack stod stoi stol stoll string swap tie to_string tolower toupper
    transform tuple uint32_t uint64_t unique unordered_map unordered_set upper_bound vector"""
)
_BARE = SIMPLE | {"INT_MAX", "INT_MIN", "LLONG_MAX", "LLONG_MIN"}
_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")
_DIGRAPHS = ("<%", "%>", "<:", ":>", "%:", "??")
_PREAMBLE_LINE = re.compile(
    r"\s*(//[^\\]*|using\s+namespace\s+std\s*;|#\s*include\s*<(algorithm|array|climits|cmath|cstdint|cstddef"
    r"|functional|limits|map|numeric|optional|set|string|tuple|unordered_map|utility|vector)>)?\s*"
)
_MAX_CHARS = 20_000


def plain_preamble(preamble: str) -> bool:
    """True for includes of harmless standard headers and `using namespace std;` only."""
    return all(_PREAMBLE_LINE.fullmatch(line) for line in preamble.splitlines())


def is_plain(code: str, signature: str, name: str) -> bool:
    """True when the candidate may share a translation unit with others."""
    if len(code) > _MAX_CHARS or "__" in code or not code.isascii() or not name.isidentifier():
        return False
    found, head = tokens(code), tokens(signature.strip().rstrip("{;"))
    if found is None or head is None or not head or found[: len(head)] != head:
        return False
    if any(text in ("{", "}", ";", "#") or text in _RESERVED - {"void"} for _, text in head):
        return False
    body = found[len(head) :]
    return _is_one_block([text for _, text in body]) and _harmless(head, body, name)


def unbalanced(code: str, preamble: str) -> str:
    """Why the code cannot compile whatever its names mean; empty where only a compiler can tell.

    Brackets of a C++ translation unit match (grammar of declarations and statements, [gram]). That is decided
    here for text that the lexer reads with certainty, without directives and digraphs, after a preamble that
    defines no macro. Such code is most of what an untrained model writes, and costs a compiler run each.
    """
    found = tokens(code)
    if found is None or not plain_preamble(preamble) or any(mark in code for mark in ("#", *_DIGRAPHS)):
        return ""
    stack: list[str] = []
    for _, text in found:
        if text in _OPEN:
            stack.append(text)
        elif text in _CLOSE and (not stack or _OPEN.index(stack.pop()) != _CLOSE.index(text)):
            return f"error: '{text}' closes nothing that is open"
    return f"error: '{stack[-1]}' is never closed" if stack else ""


def _is_one_block(texts: list[str]) -> bool:
    """Balanced brackets; the first opening brace closes at the very end."""
    stack: list[str] = []
    for at, text in enumerate(texts):
        if text in _OPEN:
            stack.append(text)
        elif text in _CLOSE:
            if not stack or _OPEN.index(stack.pop()) != _CLOSE.index(text):
                return False
            if not stack and at != len(texts) - 1:
                return False
        elif not stack:
            return False
    return bool(texts) and not stack and texts[-1] == "}"


def _harmless(head: list[Token], body: list[Token], name: str) -> bool:
    known = declared([*head, *body])
    # a variable called like a type would make a comparison look like a declaration
    if known & (SIMPLE | TEMPLATES):
        return False
    known.add(name)
    scopes = qualified(body)
    padded = [("", ""), *body, ("", "")]
    for at, (before, (kind, text), after) in enumerate(zip(padded, padded[1:], padded[2:], strict=False)):
        previous, following = before[1], after[1]
        if text == "#" or (text == "::" and at not in scopes) or (text == "[" and following == "["):
            return False
        if not _harmless_pointer(before, text, following):
            return False
        if kind == "name" and previous == "::" and text not in STD_NAMES and padded[at - 1][1] == "std":
            return False
        if kind == "name" and previous != "::" and not _harmless_name(text, previous, following, known):
            return False
    return True


def _harmless_name(text: str, previous: str, following: str, known: set[str]) -> bool:
    """`known` are the function's own names; `previous` is not `::`."""
    if text in _KEYWORDS:
        return following != "(" or text in _CALLS or text in ("else", "do", "case", "default")
    if text in _RESERVED or text.startswith(("_", "judge")):
        return False
    if text == "std":
        return following == "::"
    if previous in (".", "->"):
        return True
    if following == "(":
        return text in known or text in STD_NAMES
    return text in known or text in STD_NAMES or text in _BARE


def _harmless_pointer(before: Token, text: str, following: str) -> bool:
    kind, previous = before
    if text == "*":
        return previous not in _TYPES | {">", "*", "const"} and following not in (")", ">", ",", "*", "const", "&")
    if text == "&" and kind != "number":  # a reference, a conjunction of bits, or a capture; never an address
        return (kind == "name" and previous not in _CALLS - _TYPES) or previous in (">", ")", "]", "[")
    return text not in ("->*", ".*")
