"""A small C++ lexer, enough to normalise code and to recognise plain functions.

Belongs here: tokens and text normalisation. Not here: what makes a function plain (`plain`).
"""

from __future__ import annotations

import hashlib
import re

# Text that is not read here as g++ reads it, or whose layout has a meaning: raw strings, line numbers, continued lines
# (g++ allows blanks behind the backslash, and what follows the text begins with a line end), digraphs, odd line ends.
_SPECIAL = re.compile(
    r'R"|__LINE__|__COUNTER__|__builtin_LINE|source_location'
    r"|\\[ \t\r\f\v]*(?:\n|\Z)|\?\?|<%|%>|<:|:>|%:|\r(?!\n)|\0"
)
_PIECES = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<string>(?:u8|u|U|L)?"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?:u8|u|U|L)?'(?:[^'\\\n]|\\.)+')
      | (?P<number>\.?[0-9](?:[eEpP][+-]|'[0-9A-Za-z_]|[0-9A-Za-z_.])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<punct>::|->|\+\+|--|<<=|>>=|<=>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|<<|[^\s\w])
      | (?P<newline>\n)
      | (?P<space>[ \t\r\f\v]+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def tokens(code: str) -> list[tuple[str, str]] | None:
    """(kind, text) without comments and white space; None where the text is not certain to be read right."""
    if _SPECIAL.search(code):
        return None
    found = []
    for match in _PIECES.finditer(code):
        kind = match.lastgroup or "other"
        if kind == "other" or (kind == "punct" and match.group() in "\"'\\`@$"):
            return None
        if kind not in ("comment", "newline", "space"):
            found.append((kind, match.group()))
    return found


def normalised(code: str) -> str:
    """Code without comments and layout where that cannot change its meaning; otherwise the code itself."""
    if _SPECIAL.search(code):
        return code
    parts: list[str] = []
    for match in _PIECES.finditer(code):
        kind, text = match.lastgroup or "other", match.group()
        if kind == "other" or (kind == "punct" and text in "\"'\\"):
            return code
        if kind in ("comment", "space"):
            text = " "
        if text in (" ", "\n") and parts and parts[-1] in (" ", "\n"):
            # a line end counts only around preprocessor lines, and there it must win over a blank
            parts[-1] = "\n" if "\n" in (text, parts[-1]) else " "
        else:
            parts.append(text)
    joined = "".join(parts).strip()
    return joined if "#" in joined else joined.replace("\n", " ")


def key(*parts: str) -> str:
    """Hex digest that identifies a sequence of texts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
