"""Which documented functions can become problems: a look at the text, before anything is compiled.

Belongs here: the static conditions on one row of `docstring_pairs` and the function made free-standing.
Does not belong here: inputs, verdicts and admission (`mining`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cpp_pipeline.problems.rows import Row
from cpp_pipeline.sandbox.cpp.prototype import Prototype, parse_signature

COMMON_HEADERS = (
    *("algorithm", "array", "climits", "cmath", "cstddef", "cstdint", "functional", "limits", "map", "numeric"),
    *("optional", "set", "string", "tuple", "unordered_map", "utility", "vector"),
)
RARE_HEADERS = {
    "bitset": r"bitset",
    "cctype": r"is(?:alpha|digit|alnum|space|upper|lower|punct|xdigit)|to(?:upper|lower)",
    "cfloat": r"(?:FLT|DBL|LDBL)_\w+",
    "cstdlib": r"abs|labs|llabs|div|atoi|atol|strtol",
    "cstring": r"mem(?:cpy|set|cmp)|str(?:len|cmp|chr)",
    "deque": r"deque|queue|stack",
    "iomanip": r"setw|setprecision|setfill",
    "iterator": r"back_inserter|istream_iterator|make_move_iterator",
    "list": r"list",
    "queue": r"queue|priority_queue",
    "sstream": r"[io]?stringstream",
    "stack": r"stack",
    "stdexcept": r"\w+_error|invalid_argument|out_of_range",
    "string_view": r"string_view",
    "unordered_set": r"unordered_set",
}
"""headers that few functions need, each with the names that call for it; fewer headers make verdicts cheaper"""
MIN_DOC_WORDS = 4
MAX_CODE_CHARACTERS = 6000

_QUALIFIERS = re.compile(r"\b(static|inline|constexpr|extern|virtual|explicit|friend)\b|\[\[[^\]]*\]\]")
_DEFAULT = re.compile(r"\s*=\s*(?:\{[^{}]*\}|\"[^\"]*\"|[^,(){}]+(?:\(\))?)(?=[,)])")
_CLASS = re.compile(r"\b(class|struct|union)\s+\w[^;{}]*\{")
_IN_OUT = re.compile(r"(?<!&)&(?!&)")
_IMPURE = re.compile(
    r"\bthis\b|\b(?:std::)?(?:cin|cout|cerr|clog|printf|fprintf|scanf|puts|putchar|getline|getchar|fopen|fstream"
    r"|ifstream|ofstream|rand|srand|random_device|mt19937|time|clock|chrono|sleep_for|thread|mutex|atomic|async"
    r"|getenv|setenv|system|exit|abort|errno|malloc|calloc|realloc|free|goto|asm|setjmp|longjmp)\b(?!\s*:)"
    r"|\bstatic\b(?!\s+(?:const\b|constexpr\b)|_cast)|\bnew\b|\bdelete\b"
)
_POINTER = re.compile(r"->|\bnullptr\b|\bNULL\b|\b(?:int|char|double|float|void|auto)\s*\*")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)


class Unfit(ValueError):
    """A function that cannot become a problem; `reason` is short, the message says what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Candidate:
    """A documented function made free-standing: signature without qualifiers and defaults, code to match."""

    row: Row
    prototype: Prototype
    signature: str
    code: str
    preamble: str


def candidate(row: Row) -> Candidate:
    """A row of `docstring_pairs` as a candidate.

    Raises
    ------
    Unfit
        With the first condition that the function does not meet.
    """
    where = f"{row['dump']}:{row['repo']}/{row['path']}:{row['line']}"
    if row["has_parse_error"]:
        raise Unfit("parse error", where)
    if len(row["doc"].split()) < MIN_DOC_WORDS:
        raise Unfit("documentation too short", f"{where}: {row['doc']!r}")
    if len(row["code"]) > MAX_CODE_CHARACTERS:
        raise Unfit("function too long", f"{where}: {len(row['code'])} characters")
    written = row["signature"]
    if _CLASS.search(row["context"]) and not re.search(r"\bstatic\b", written):
        raise Unfit("member function", where)
    signature = _DEFAULT.sub("", " ".join(_QUALIFIERS.sub(" ", written).split()))
    signature = re.sub(r"\)\s*(?:const|noexcept|override|final|\s)*$", ")", signature)
    try:
        prototype = parse_signature(signature)
    except ValueError as error:
        raise Unfit("signature not supported", f"{where}: {error}") from error
    if not prototype.params:
        raise Unfit("no parameters", where)
    if any(_IN_OUT.search(p) and not re.search(r"\bconst\b", p) for p in _parameters(signature)):
        raise Unfit("in-out parameter", f"{where}: {signature}")
    bare = _COMMENT.sub(" ", row["body"])
    for reason, pattern in (("not pure", _IMPURE), ("pointers", _POINTER)):
        if found := pattern.search(bare):
            raise Unfit(reason, f"{where}: {found.group()}")
    if "#" in bare:
        raise Unfit("preprocessor inside", where)
    return Candidate(row, prototype, signature, f"{signature} {{{row['body']}}}\n", _preamble(row))


def _parameters(signature: str) -> list[str]:
    """Parameters as written, split at commas outside angle brackets."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    parts, depth = [""], 0
    for character in inside:
        depth += (character == "<") - (character == ">")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _preamble(row: Row) -> str:
    """Standard headers, and `using namespace std;` where the function relies on it."""
    rare = [header for header, names in RARE_HEADERS.items() if re.search(rf"\b(?:{names})\b", row["code"])]
    lines = [f"#include <{header}>\n" for header in (*COMMON_HEADERS, *rare)]
    unqualified = re.search(r"(?<![\w:.>])(string|vector|map|set|pair|max|min|swap|sort)\s*[<(]", row["code"])
    plain_string = re.search(r"(?<![\w:.>])string\s+\w", row["code"])
    if unqualified or plain_string:
        lines.append("using namespace std;\n")
    return "".join(lines)
