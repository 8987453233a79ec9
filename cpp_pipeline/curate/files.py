"""Which source files are worth extracting from.

Belongs here: rules on one whole file, and exact duplicates of whole files.
Does not belong here: reading a dump, marking files and finding licences (`dumps/`), rules on functions (`extract/`),
what is redacted (`redact.py`).
"""

from __future__ import annotations

import hashlib
import re

import polars as pl

from cpp_pipeline.curate.redact import redact_frame
from cpp_pipeline.schemas import TABLES

_PERMISSIVE_TEXT = """
    0BSD AFL-3.0 Apache-2.0 Artistic-2.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-4-Clause
    BSD-Source-Code BSL-1.0 CC0-1.0 curl FTL HPND ICU IJG ISC Libpng libtiff MIT MIT-0
    MIT-Modern-Variant MS-PL MulanPSL-2.0 NCSA OFL-1.1 OpenSSL PostgreSQL Unicode-DFS-2016 Unlicense
    UPL-1.0 W3C WTFPL X11 Zlib zlib-acknowledgement
"""
PERMISSIVE = frozenset(_PERMISSIVE_TEXT.split())
"""SPDX identifiers that let code be used as training data with attribution at most."""

_BY_LOWER_CASE = frozenset(name.lower() for name in PERMISSIVE)
_INNER_GROUP = re.compile(r"\(([^()]*)\)")
MIN_CHARACTERS = 32
"""Fewest characters other than blanks: below it a file holds an include or a version number."""
_BLANKS = b" \t\n\v\f\r"
_KEY = ("dump", "repo", "path")


def is_permissive(licence: str) -> bool:
    """Whether an SPDX expression offers a permissive choice: some `OR` side whose `AND` parts all are.

    `MIT OR GPL-2.0-only` is, `MIT AND GPL-2.0-only` is not; an exception (`WITH ...`) only adds rights.
    """
    while (simpler := _INNER_GROUP.sub(lambda m: "MIT" if _flat_permissive(m[1]) else "refused", licence)) != licence:
        licence = simpler
    return _flat_permissive(licence)


def _flat_permissive(expression: str) -> bool:
    return any(
        all(part.split(" WITH ")[0].strip().lower() in _BY_LOWER_CASE for part in side.split(" AND "))
        for side in expression.split(" OR ")
    )


_BARE = pl.Struct({"size": pl.Int64(), "digest": pl.Binary()})


def _bare(texts: pl.Series) -> pl.Series:
    """Characters and blake2b of each text without blanks: polars' own hash promises nothing over versions."""
    bare = [text.encode().translate(None, _BLANKS) for text in texts]
    sizes = pl.Series("size", [len(one.decode()) for one in bare], pl.Int64)
    digests = pl.Series("digest", [hashlib.blake2b(one, digest_size=16).digest() for one in bare], pl.Binary)
    return pl.DataFrame([sizes, digests]).to_struct(texts.name)


def _refused_licences(source_files: pl.LazyFrame) -> list[str]:
    found = source_files.select(pl.col("licence").unique()).collect(engine="streaming")
    return sorted(name for name in found["licence"].drop_nulls() if not is_permissive(name))


def _rules(refused: list[str], allow_unknown: bool) -> list[tuple[str, pl.Expr, pl.Expr]]:
    """(reason, condition, detail) in the order in which they are asked; the first that holds is told.

    None of them looks at the text, which is read of the others only.
    """
    licence = pl.col("licence")
    unknown = licence.is_null() & pl.lit(not allow_unknown)
    return [
        (
            "licence",
            unknown | licence.is_in(refused),
            pl.coalesce(licence, pl.lit("no licence found")) + " is not known to be permissive",
        ),
        ("test", pl.col("is_test"), pl.lit("path or content marks test code")),
        ("vendored", pl.col("is_vendored"), pl.lit("path marks third-party code")),
        ("generated", pl.col("is_generated"), pl.lit("path or content marks generated code")),
        ("amalgamated", pl.col("is_amalgamated"), pl.lit("put together from other files of the project")),
    ]


def _decisions(source_files: pl.LazyFrame, allow_unknown: bool) -> pl.DataFrame:
    """One narrow row a file: position, key, size, reason and detail (null where it is kept)."""
    rules = _rules(_refused_licences(source_files), allow_unknown)
    reason: pl.Expr = pl.lit(None, dtype=pl.String)
    detail: pl.Expr = pl.lit(None, dtype=pl.String)
    for name, condition, text in reversed(rules):
        reason = pl.when(condition).then(pl.lit(name)).otherwise(reason)
        detail = pl.when(condition).then(text).otherwise(detail)
    rows = source_files.with_row_index("row")
    judged = rows.select("row", *_KEY, "size_bytes", reason=reason, detail=detail).collect(engine="streaming")
    asked = judged.filter(pl.col("reason").is_null())["row"]
    texts = rows.filter(pl.col("row").is_in(asked.implode())).select(
        "row", bare=pl.col("content").map_batches(_bare, return_dtype=_BARE, is_elementwise=True)
    )
    is_small = pl.col("size") < MIN_CHARACTERS
    judged = (
        judged.join(texts.unnest("bare").collect(engine="streaming"), on="row", how="left")
        .with_columns(
            reason=pl.when(is_small).then(pl.lit("too small")).otherwise("reason"),
            detail=pl.when(is_small).then(pl.format("{} characters without blanks", "size")).otherwise("detail"),
        )
        .sort("path", "repo", "row")
    )
    open_rows = judged.filter(pl.col("reason").is_null())
    first = open_rows.group_by("digest", maintain_order=True).agg(
        first_row=pl.col("row").first(), original=pl.concat_str(["repo", "path"], separator=":").first()
    )
    repeats = open_rows.join(first, on="digest").filter(pl.col("row") != pl.col("first_row"))
    return (
        judged.join(repeats.select("row", "original"), on="row", how="left")
        .with_columns(
            reason=pl.coalesce("reason", pl.when(pl.col("original").is_not_null()).then(pl.lit("duplicate"))),
            detail=pl.coalesce("detail", pl.lit("same text as ") + pl.col("original")),
        )
        .sort("row")
    )


def clean(source_files: pl.LazyFrame, allow_unknown: bool = False) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Split files into those kept for extraction and those dropped, each with its reason.

    Parameters
    ----------
    source_files
        Rows of `source_files`; scanned twice for narrow columns here, once more when the result is read.
    allow_unknown
        Keep files for which no licence was found. A licence that was found and is not permissive (the
        GPL family first of all) is never kept.

    Returns
    -------
    clean_files, dropped_files
        In the order of the input. Kept texts have their e-mail addresses and secrets replaced. Reasons: licence,
        test, vendored, generated, amalgamated, too small, duplicate (same text but for blanks as a kept file; the
        first by path stays).
    """
    decided = _decisions(source_files, allow_unknown)
    kept = decided.filter(pl.col("reason").is_null())["row"]
    dropped = decided.filter(pl.col("reason").is_not_null())
    # A filter by position streams; a semi join would hold the wide side in memory.
    clean_files = source_files.with_row_index("row").filter(pl.col("row").is_in(kept.implode())).drop("row")
    clean_files = redact_frame(clean_files, ["content"])
    return TABLES["clean_files"].conform(clean_files), TABLES["dropped_files"].conform(dropped.lazy())
