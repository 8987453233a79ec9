"""The functions that a change of a file touches.

Belongs here: comparing the functions of both sides, piece by piece. Does not belong here: cutting the pieces
(`pieces.py`), commits, messages, and whether a change is worth learning from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.extract.functions import Function, read_functions
from cpp_pipeline.extract.lexer import tokens
from cpp_pipeline.extract.pieces import Piece, core, open_braces

_Functions = dict[tuple[str, tuple[str, ...]], Function]
"""By qualified name and parameter types."""
_CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|endif)", re.MULTILINE)


class _Unread(Exception):
    """Why a piece was not read."""


@dataclass(frozen=True)
class Changed:
    """A function whose tokens differ between the two sides."""

    before: Function
    after: Function


@dataclass(frozen=True)
class Comparison:
    """What a change does to the functions of a file.

    Attributes
    ----------
    is_code
        Tokens differ, so it is more than comments and layout.
    changed
        Functions of both sides whose tokens differ.
    appearing
        Names of functions that are on one side only, sorted.
    has_residue
        Code outside the changed function differs; null where not exactly one changed.
    refused
        Why the file was not read, or None.
    """

    is_code: bool = True
    changed: tuple[Changed, ...] = ()
    appearing: tuple[str, ...] = ()
    has_residue: bool | None = None
    refused: str | None = None


def compare(before: str, after: str, found: Sequence[Piece], macros: tuple[str, ...] = ()) -> Comparison:
    """The functions that differ between two states of a file; with a second one or an added one it ends early.

    Of two definitions with one name (#if branches) the first stands for both; a change in the second is then
    seen as a change outside the function.

    Parameters
    ----------
    found
        `pieces(before, after)`. A function's qualified name tells the classes and namespaces that its piece shows.
    macros
        Names to blank before parsing (`MacroDefinitions.transparent`).
    """
    changed: list[Changed] = []
    places: list[Piece] = []
    for given in found:
        is_whole, piece = len(given.before) == len(before), given.closed()
        if piece is None and not is_whole:
            return compare(before, after, [Piece(before, after, 0)], macros)
        piece = piece or given
        try:
            old, new = (_functions(side, macros) for side in (piece.before, piece.after))
        except _Unread as why:
            return Comparison(refused=str(why))
        appearing = tuple(sorted({qualified for qualified, _ in old.keys() ^ new.keys()}))
        here = [Changed(old[key], new[key]) for key in old if key in new and _differ(old[key].code, new[key].code)]
        changed += here
        places += [piece] * len(here)
        if len(changed) > 1 or appearing:
            return Comparison(changed=tuple(changed), appearing=appearing)
        if not here and _differ(piece.before, piece.after):
            if piece is not given and not is_whole:  # what closed behind the change may have been its function
                return compare(before, after, [Piece(before, after, 0)], macros)
            places.append(piece)
    if not changed:
        return Comparison(is_code=bool(places))
    return Comparison(changed=tuple(changed), has_residue=len(places) > 1 or _has_residue(places[0], changed[0]))


def _differ(before: str, after: str) -> bool:
    """Whether the tokens differ; what is equal as text need not be split into tokens."""
    if before == after:
        return False
    x, y = core(before, after)
    return tokens(x) != tokens(y)


def _functions(text: str, macros: tuple[str, ...]) -> _Functions:
    """Functions that end in `text`. Raises `_Unread`.

    Namespaces and `#if` that the text opens are closed behind it, classes too: the grammar takes an empty
    statement anywhere.
    """
    raw = text.encode("utf-8", "replace")
    closing = "};\n" * open_braces(raw)
    conditions = sum(1 if m[1] == "if" else -1 for m in _CONDITION.finditer(text))
    facts = read_functions(f"{text}\n{closing}" + "#endif\n" * conditions, macros, in_full=True)
    if facts.refused is not None:
        raise _Unread(facts.refused)
    functions: _Functions = {}
    for f in facts.functions:
        if f.end_byte <= len(raw):
            functions.setdefault((f.qualified_name, f.parameter_types), f)
    return functions


def _has_residue(piece: Piece, changed: Changed) -> bool:
    """Whether code outside the function differs."""
    a, b = piece.before.encode("utf-8", "replace"), piece.after.encode("utf-8", "replace")
    f, g = changed.before, changed.after
    around = ((a[: f.start_byte], b[: g.start_byte]), (a[f.end_byte :], b[g.end_byte :]))
    return any(_differ(x.decode("utf-8", "replace"), y.decode("utf-8", "replace")) for x, y in around)
