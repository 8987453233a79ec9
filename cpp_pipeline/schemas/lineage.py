"""Where columns come from: reading the words of `Table.sources`.

Belongs here: from words to references. Does not belong here: the words (beside the columns of each table), and
whether they are true of the graph (a test of the definitions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cpp_pipeline.schemas.table import Table

_REFERENCE = re.compile(r"\b([a-z]\w*)\.(\w+|\*)")
REST = "*"
"""As a key: every column that no other key names. As a column of a source: the one of the same name."""


@dataclass(frozen=True)
class Origin:
    """Where one column comes from: the words of the declaration, and the columns that they name.

    Without any column it is made here: a constant, read in the dump, generated, or sampled from a model.
    """

    words: str
    columns: tuple[tuple[str, str], ...]


def origins(table: Table) -> dict[str, Origin]:
    """The origin of each column, in the order of the columns.

    Raises
    ------
    ValueError
        Naming the columns of the table that `sources` is silent about, names twice, or does not know.
    """
    named = [(name, words) for key, words in table.sources.items() if key != REST for name in key.split()]
    said = dict(named)
    rest = table.sources.get(REST, "")
    twice = sorted(name for name in said if sum(other == name for other, _ in named) > 1)
    unknown = sorted(said.keys() - set(table.schema))
    silent = [c.name for c in table.columns if not said.get(c.name, rest)]
    if twice or unknown or silent:
        raise ValueError(f"sources of table {table.name}: named twice {twice}, unknown {unknown}, missing {silent}")
    return {c.name: _origin(c.name, said.get(c.name, rest)) for c in table.columns}


def _origin(column: str, words: str) -> Origin:
    words = _REFERENCE.sub(lambda m: f"{m[1]}.{column if m[2] == REST else m[2]}", words)
    return Origin(words, tuple((m[1], m[2]) for m in _REFERENCE.finditer(words)))
