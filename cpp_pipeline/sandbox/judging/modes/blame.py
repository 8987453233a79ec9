"""Whose fault it is that a candidate and its tests do not compile in one unit.

Belongs here: reading compiler messages of such a unit. The rule: it is the data's fault only if no error lies in the
candidate, and one of them either is where a parser that knows no names finds bad syntax in the tests, or comes without
the candidate too, on a line where no name is unknown. For the tests name what a candidate has to provide. What a file
is called in a message proves nothing: a candidate can write #line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

_ERROR = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<text>.*)$",
    re.MULTILINE,
)
_OUTSIDE = ("preamble", "tests", "judge")
_UNKNOWN = re.compile(
    r"not declared|undeclared|not been declared|does not name|is not a member of|unknown type"
    r"|(?:class|template)[- ]name"
    r"|no (?:template|type|member) named|not a (?:class|template|type)|incomplete type|was not found"
)
_SYNTAX = ("expected", "stray", "unterminated", "missing terminating", "extraneous")
_NO_MAIN = re.compile(r"undefined (?:symbol|reference)[^\n]*\b(?:__real_)?main\b")


def _errors(stderr: str) -> Iterator[tuple[str, int, str]]:
    for match in _ERROR.finditer(stderr):
        yield match["file"], int(match["line"]), match["text"]


def is_outside(stderr: str) -> bool:
    """Whether no error is said to be in the candidate."""
    return all(file in _OUTSIDE for file, _, _ in _errors(stderr))


def lacks_main(stderr: str) -> bool:
    """Whether all that is wrong is that there is no `main`."""
    return bool(_NO_MAIN.search(stderr)) and not list(_errors(stderr))


def own_fault(with_candidate: str, without: str, tests: str) -> str:
    """What is wrong with preamble and tests themselves; empty where nothing is.

    Parameters
    ----------
    with_candidate, without : str
        Messages of the compiler about the unit, and about the same unit with an empty candidate.
    tests : str
        Text of the tests.
    """
    alone = list(_errors(without))
    needs_candidate = {(file, line) for file, line, text in alone if _UNKNOWN.search(text)}
    broken = _bad_lines(tests)
    for file, line, text in _errors(with_candidate):
        syntax = file == "tests" and line in broken and text.startswith(_SYNTAX)
        if syntax or ((file, line, text) in alone and (file, line) not in needs_candidate):
            return f"{file}:{line}: {text}"[:400]
    return ""


def _bad_lines(code: str) -> set[int]:
    """Lines (from 1) where bad syntax begins or ends, by a parser that does without declarations."""
    found: set[int] = set()

    def visit(node: Node) -> None:
        if node.is_error or node.is_missing:
            found.update((node.start_point.row + 1, node.end_point.row + 1))
        for child in node.children:
            if child.has_error or child.is_missing:
                visit(child)

    visit(Parser(Language(tree_sitter_cpp.language())).parse(code.encode()).root_node)
    return found
