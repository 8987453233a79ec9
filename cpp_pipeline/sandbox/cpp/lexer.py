"""A small C++ lexer, enough to normalise code, to recognise plain functions and to find functions and asserts.

Belongs here: tokens and text normalisation. Not here: what tokens mean (`plain`, `definitions`, `formats`).
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

# Text that is not read here as g++ reads it, or whose layout has a meaning: raw strings, line numbers, continued lines
# (g++ allows blanks behind the backslash, and what follows the text begins with a line end), digraphs, odd line ends.
_SPECIAL = re.compile(
    r'R"|__LINE__|__COUNTER__|__builtin_LINE|source_location'
    r"|\\[ \t\r\f\v]*(?:\n|\Z)|\?\?|<%|%>|<:|:>|%:|\r(?!\n)|\0"
)
_SIMPLE_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<[\w.+-]+(?:/[\w.+-]+)*>[ \t]*$", re.MULTILINE)
_PIECES = re.compile(
    r"""(?P<comment>//(?:\\[ \t\r\f\v]*\n|[^\n])*|/\*.*?\*/)
      | (?P<raw>(?:u8|u|U|L)?R"(?P<mark>[^\s()\\"]{0,16})\(.*?\)(?P=mark)")
      | (?P<string>(?:u8|u|U|L)?"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?:u8|u|U|L)?'(?:[^'\\\n]|\\.)+')
      | (?P<number>\.?[0-9](?:[eEpP][+-]|'[0-9A-Za-z_]|[0-9A-Za-z_.])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<splice>\\[ \t\r\f\v]*\n)
      | (?P<digraph><%|%>|<:(?!:[^:>])|:>|%:)
      | (?P<punct>::|->|\+\+|--|<<=|>>=|<=>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|<<|[^\s\w])
      | (?P<newline>\n)
      | (?P<space>[ \t\r\f\v]+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SPLIT_COMMENT_END = re.compile(r"\*(?:\\[ \t\r\f\v]*\n)+/")
_BLANKS = " \t\r\f\v\n"
_LAYOUT = ("comment", "newline", "space", "splice")


class Piece(NamedTuple):
    """A token, or a whole preprocessor line (kind `directive`, comments left out); `at` is its offset."""

    kind: str
    text: str
    at: int


def tokens(code: str) -> list[tuple[str, str]] | None:
    """(kind, text) without comments and white space; None where the text is not certain to be read right."""
    if _SPECIAL.search(code):
        return None
    found = []
    for match in _PIECES.finditer(code):
        kind = match.lastgroup or "other"
        if _doubt(match):
            return None
        if kind not in _LAYOUT:
            found.append((kind, match.group()))
    return found


def pieces(code: str) -> list[Piece]:
    """Tokens and preprocessor lines in order, without comments and white space.

    Unlike `tokens` it reads raw strings and continued lines, so offsets and lines hold for the code as written.

    Raises
    ------
    ValueError
        With the line, where the text is not certain to be read as g++ reads it.
    """
    found: list[Piece] = []
    directive: list[str] = []
    begins, at = True, 0  # whether only blanks and comments stand before on this line; where a directive begins
    for match in _PIECES.finditer(code):
        kind, text, start = match.lastgroup or "other", match.group(), match.start()
        if doubt := _doubt(match):
            raise ValueError(f"line {code.count(chr(10), 0, start) + 1}: {doubt}")
        if kind == "newline":
            if directive:
                found.append(Piece("directive", " ".join("".join(directive).split()), at))
            directive, begins = [], True
        elif kind in _LAYOUT:
            directive += [" "] if directive else []
        elif directive:
            directive.append(text)
        elif text == "#" and begins:
            directive, at = [text], start
        else:
            found.append(Piece(kind, text, start))
            begins = False
    if directive:
        found.append(Piece("directive", " ".join("".join(directive).split()), at))
    return found


def _doubt(match: re.Match[str]) -> str:
    """Why what follows may be read otherwise by g++; empty where there is no doubt."""
    kind, text, code = match.lastgroup or "other", match.group(), match.string
    following = code[match.end() : match.end() + 1]
    if kind == "splice":
        before = code[match.start() - 1 : match.start()]
        return "" if before in _BLANKS or following in _BLANKS else "a line is continued inside a token"
    if kind == "digraph":
        return f"the digraph {text}"
    if kind == "other" or (kind == "punct" and (text in "\"'\\`@$" or not text.isascii())):
        return f"the character {text!r}"
    if text == "/" and following == "*":
        return "a comment that is never closed"
    if kind == "space" and re.search(r"\r(?!\n)", text + following):
        return "a carriage return inside a line"
    if kind == "name" and following == '"' and text in ("R", "LR", "uR", "UR", "u8R"):
        return "a raw string that is never closed"
    if kind == "comment" and _SPLIT_COMMENT_END.search(text):
        return "a continued line at the end of a comment"
    return ""


def normalised(code: str) -> str:
    """Code without comments and layout where that cannot change its meaning; otherwise the code itself."""
    # a macro can paste __LINE__ or what is called a comment here: with other directives than includes text is text
    if _SPECIAL.search(code) or "#" in _SIMPLE_INCLUDE.sub("", code):
        return code
    parts: list[str] = []
    for match in _PIECES.finditer(code):
        kind, text = match.lastgroup or "other", match.group()
        if _doubt(match):
            return code
        if kind in ("comment", "space"):
            text = " "
        if text in (" ", "\n") and parts and parts[-1] in (" ", "\n"):
            # a line end counts only around preprocessor lines, and there it must win over a blank
            parts[-1] = "\n" if "\n" in (text, parts[-1]) else " "
        else:
            parts.append(text)
    joined = "".join(parts).strip(" \n")
    return joined if "#" in joined else joined.replace("\n", " ")


def key(*parts: str) -> str:
    """Hex digest that identifies a sequence of texts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
