"""A change as edits of whole lines.

Belongs here: edits from two texts, and the text after from the text before. Does not belong here: which changes
are kept (`released.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TypedDict


class Edit(TypedDict):
    """Lines `start_line` to `end_line` (from 1, both included) become `text`.

    `end_line` is `start_line` - 1 where `text` is put in front of `start_line`. `text` holds its line ends.
    """

    start_line: int
    end_line: int
    text: str


def edits(before: str, after: str) -> list[Edit]:
    """The edits, from top to bottom; line numbers are those of `before`."""
    a, b = _lines(before), _lines(after)
    return [
        Edit(start_line=a_from + 1, end_line=a_to, text="".join(b[b_from:b_to]))
        for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


def edited(before: str, changes: Sequence[Edit]) -> str:
    """`before` with the edits made; `edited(before, edits(before, after))` is `after`."""
    lines = _lines(before)
    for edit in reversed(changes):
        lines[edit["start_line"] - 1 : edit["end_line"]] = [edit["text"]]
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends a line."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])
