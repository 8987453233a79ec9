"""What stands before the code of a candidate that was written as a whole file.

Belongs here: where includes, using declarations and comments end. Not here: which of them are harmless (`plain`).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

_B = r"(?:[ \t\f\v]|\r(?=\n))"
_TEXT = r"(?:[^\n\\\r]|\r(?=\n))"
# A comment that g++ may end elsewhere (a backslash at a line's end) belongs to the rest.
_LINE_COMMENT = rf"//(?:{_TEXT}|\\(?!{_B}*(?:\n|\Z)))*"
_ONE_LINE_COMMENT = rf"/\*(?:(?!\*/){_TEXT})*\*/"
_COMMENT = rf"/\*(?:(?!\*/)(?:{_TEXT}|\n|\\(?!{_B}*\n)))*\*/"
_TAIL = rf"(?:{_B}|{_ONE_LINE_COMMENT})*(?:{_LINE_COMMENT})?(?=\n|\Z)"
_LEADING = re.compile(
    rf"""(?P<blank>(?:{_B}|\n)+)
      | (?P<comment>{_LINE_COMMENT}(?=\n|\Z)|{_COMMENT})
      | (?P<directive>[#]{_B}*(?:include{_B}*<(?P<header>[\w./+-]+)>|undef{_B}+NDEBUG|pragma{_B}+once){_TAIL})
      | (?P<using>using{_B}+(?:(?P<all>namespace){_B}+std|std{_B}*::{_B}*(?P<name>[A-Za-z_]\w*)){_B}*;)""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True)
class Prelude:
    """What a text begins with: `headers` included, `names` of `using std::name;`, and the `rest` behind it all.

    `using_std` says that there is a `using namespace std;`.
    """

    headers: frozenset[str]
    names: frozenset[str]
    using_std: bool
    rest: str


def split_prelude(code: str) -> tuple[str, str]:
    """The leading includes, using declarations of `std`, `#undef NDEBUG` and comments, and the rest behind them.

    The rest begins with its first token; both together are the code.
    """
    rest = read_prelude(code).rest
    return code[: len(code) - len(rest)], rest


def completed(preamble: str, prelude: str) -> str:
    """A preamble with what a candidate's prelude adds to it, in one form for all preludes that add the same.

    It adds headers that neither the preamble nor `judge.hpp`, which stands before everything, includes. The order of
    standard headers does not matter, and neither does where `using namespace std;` stands between them.
    """
    had, more = read_prelude(preamble), read_prelude(prelude)
    lines = [f"#include <{header}>\n" for header in sorted(more.headers - had.headers - _always())]
    lines += ["using namespace std;\n"] if more.using_std and not had.using_std else []
    lines += [f"using std::{name};\n" for name in sorted(more.names - had.names)]
    return "".join([preamble, "\n", *lines]) if lines else preamble


@functools.cache
def _always() -> frozenset[str]:
    """Headers that every unit has before anything else."""
    text = (Path(__file__).resolve().parents[1] / "native" / "judge.hpp").read_text()
    return frozenset(re.findall(r"^#include <(.+)>$", text.partition("namespace")[0], re.MULTILINE))


def read_prelude(code: str) -> Prelude:
    """What a text begins with, read."""
    at, begins = 0, True  # whether a preprocessor line may begin here
    headers, names, using_std = set(), set(), False
    while at < len(code):
        match = _LEADING.match(code, at)
        if match is None or (match["directive"] and not begins):
            break
        # a line end inside of a comment ends no line
        begins = bool(match["blank"] and "\n" in match["blank"]) or (begins and not match["using"])
        at = match.end()
        headers.update([match["header"]] if match["header"] else [])
        names.update([match["name"]] if match["name"] else [])
        using_std = using_std or bool(match["all"])
    return Prelude(frozenset(headers), frozenset(names), using_std, code[at:])
