"""What a declared table is, and the pure functions that hold a frame to it.

Does not belong here: which tables there are (the files beside this one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

KEYS_AT_ONCE = 5_000_000
"""Keys of which the hashes are held while a table is searched for repeated ones."""


@dataclass(frozen=True)
class Column:
    """One column: its polars type, what it means, and the values that it may hold."""

    name: str
    dtype: pl.DataType
    description: str
    nullable: bool = False
    ge: float | None = None
    le: float | None = None
    isin: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: columns in order, the columns that identify a row, and what a row is.

    `sources` says where columns come from: names of columns -> words in which every `table.column` is one that they
    are made from, `table.*` the one of the same name there. The key `*` stands for all columns that no other key names.
    Words without any such reference say that the column is made here. What only joins or chooses rows is no source.
    A table without a key says in `no_key` why its rows may repeat.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned: bool = False
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    no_key: str = field(default="", repr=False, compare=False)

    @property
    def schema(self) -> pl.Schema:
        """Column names and polars types, in order."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    @property
    def digest(self) -> str:
        """Changes whenever columns, key or meaning change; part of each asset's code version."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def empty(self) -> pl.LazyFrame:
        """A frame of this table without rows."""
        return pl.LazyFrame(schema=self.schema)

    def frame(self, rows: list[dict[str, Any]]) -> pl.LazyFrame:
        """Rows as a frame of exactly this table; a missing or unknown column is an error."""
        self.check(rows)
        return pl.LazyFrame(rows, schema=self.schema)

    def check(self, rows: list[dict[str, Any]]) -> None:
        """Raise ValueError, naming the table and the columns, when a row has not exactly this table's columns."""
        names = {c.name for c in self.columns}
        for row in rows:
            if row.keys() != names:
                missing, unknown = sorted(names - row.keys()), sorted(row.keys() - names)
                raise ValueError(f"table {self.name}: missing columns {missing}, unknown {unknown}")

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Select and order this table's columns, after checking names and types.

        Raises
        ------
        ValueError
            Naming the table and each column that is missing or has another type.
        """
        found = frame.collect_schema()
        wrong = [
            f"{c.name}: {'missing' if c.name not in found else f'{found[c.name]} is not {c.dtype}'}"
            for c in self.columns
            if found.get(c.name) != c.dtype
        ]
        if wrong:
            raise ValueError(f"table {self.name} does not fit its schema: " + "; ".join(wrong))
        return frame.select([c.name for c in self.columns])

    def violations(self, frame: pl.LazyFrame) -> dict[str, int]:
        """Count the rows that break a rule: nulls, numbers that are none, ranges, closed sets, repeated keys.

        Returns
        -------
        dict
            Rule -> number of rows; only rules that are broken appear.
        """
        rules: dict[str, pl.Expr] = {}
        for c in self.columns:
            col = pl.col(c.name)
            if not c.nullable:
                rules[f"{c.name} is null"] = col.is_null()
            if (unbounded := _not_finite(col, c.dtype)) is not None:
                rules[f"{c.name} is not finite"] = unbounded
            if c.ge is not None:
                rules[f"{c.name} < {c.ge:g}"] = col < c.ge
            if c.le is not None:
                rules[f"{c.name} > {c.le:g}"] = col > c.le
            if c.isin is not None:
                rules[f"{c.name} not in {'|'.join(c.isin)}"] = ~col.is_in(list(c.isin))
        counts = frame.select([e.sum().cast(pl.Int64).alias(r) for r, e in rules.items()]).collect(engine="streaming")
        broken = {rule: int(n or 0) for rule, n in counts.row(0, named=True).items() if n}
        if self.key and (repeated := repeated_keys(frame, self.key)):
            broken[f"repeated key ({', '.join(self.key)})"] = repeated
        return broken


def _not_finite(value: pl.Expr, dtype: Any) -> pl.Expr | None:
    """Whether a number, or one inside of a list or struct, is NaN or infinite; None for types without such numbers."""
    if dtype.is_float():
        return ~value.is_finite()
    if isinstance(dtype, pl.List):
        inner = _not_finite(pl.element(), dtype.inner)
        return None if inner is None else value.list.eval(inner).list.any()
    if isinstance(dtype, pl.Struct):
        inside = [_not_finite(value.struct.field(f.name), f.dtype) for f in dtype.fields]
        found = [expression for expression in inside if expression is not None]
        return pl.any_horizontal(found) if found else None
    return None


def repeated_keys(frame: pl.LazyFrame, key: Sequence[str], at_once: int = KEYS_AT_ONCE) -> int:
    """Rows whose key another row had before; holds about 50 bytes for each of `at_once` keys, however many there are.

    Keys are compared by their hashes, a part of all hashes at a time, and only those with a twin as they are.
    """
    hashed = pl.struct(list(key)).hash()
    rows = int(frame.select(pl.len()).collect(engine="streaming").item())
    parts = 1 + rows // at_once
    repeated = 0
    for part in range(parts):
        hashes = frame.select(hash=hashed).filter(pl.col("hash") % parts == part).group_by("hash").len()
        twins = hashes.filter(pl.col("len") > 1).select("hash").collect(engine="streaming")["hash"]
        if len(twins):
            same = frame.filter(hashed.is_in(twins.implode())).group_by(list(key)).len()
            repeated += int(same.select((pl.col("len") - 1).sum()).collect(engine="streaming").item())
    return repeated
