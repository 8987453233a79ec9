"""Rows on their way to `diff_sft`: every column that a rule may ask for.

Belongs here: putting together what messages, functions and tokens say. Does not belong here: the rules
(`released.py`), and where rows come from (`diffs.py`, `repairs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cpp_pipeline.extract.changes import change_of
from cpp_pipeline.extract.messages import instruction, is_fix, multi_words, unspecific, vague_words
from cpp_pipeline.extract.released import CANDIDATES
from cpp_pipeline.extract.touched import Comparison

_EMPTY: dict[str, Any] = dict.fromkeys(CANDIDATES.schema)


def candidate(message: str, paths: Sequence[str], **known: Any) -> dict[str, Any]:
    """A row with what its message says; nothing has been said of its code.

    Parameters
    ----------
    paths
        Files that the commit or record changes; the first one stands for all.
    """
    said = {"vague": vague_words(message), "multi": multi_words(message), "is_fix": is_fix(message)}
    return _EMPTY | known | said | {"message": message, "path": paths[0]}


def with_change(row: dict[str, Any], compared: Sequence[Comparison]) -> dict[str, Any]:
    """The row with what happened to the functions of its files.

    Parameters
    ----------
    compared
        One for each file that the commit or record changes, up to the one that settles that it is not one function.
    """
    refused = next((c.refused for c in compared if c.refused is not None), None)
    changed = [function for c in compared for function in c.changed]
    appearing = ", ".join([name for c in compared for name in c.appearing][:5])
    found = {
        "refused": refused,
        "is_code": any(c.is_code for c in compared),
        "n_functions": len(changed),
        "appearing": appearing or None,
    }
    if refused is not None or len(changed) != 1 or appearing:
        return row | found
    before, after = changed[0].before, changed[0].after
    # A file without a changed function has residue when its code changed.
    residue = any(c.has_residue if c.changed else c.is_code for c in compared)
    return (
        row
        | found
        | asdict(change_of(before.code, after.code))
        | {
            "function": after.qualified_name,
            "unspecific": unspecific(row["message"], [row["repo"], row["path"], after.qualified_name]),
            "instruction": instruction(row["message"], after.name),
            "before": before.code,
            "after": after.code,
            "before_has_parse_error": before.has_parse_error,
            "after_has_parse_error": after.has_parse_error,
            "has_residue": residue,
        }
    )
