"""Tables of duplicates over all dumps: what functions are compared by, what was found, and what is left out."""

from __future__ import annotations

import polars as pl

from cpp_pipeline.schemas.columns import DUMP, B, F, I, S, column
from cpp_pipeline.schemas.table import Table

_ALGORITHM = column("algorithm", I, "version of the signatures; only rows of one version can be compared", ge=1)

DUPLICATE_TABLES = (
    Table(
        "function_signatures",
        "What a documented function is compared by with those of all dumps.",
        (
            column("pair_id", S, "row of docstring_pairs"),
            DUMP,
            column("token_sha256", S, "hash of the normalised tokens; equal for exact duplicates"),
            column("text_id", I, "first 60 bits of token_sha256", ge=0),
            column("n_tokens", I, "C++ tokens of the function", ge=0),
            column("quality", F, "of the pair: the best one of a group stays", ge=0, le=1),
            _ALGORITHM,
            column(
                "bands",
                pl.Binary(),
                "16 MinHash band keys, each 8 bytes, least byte first; 0 where enough others of the dump have the same"
                " key; empty for short functions",
            ),
            column("is_crowded", B, "some key is 0"),
        ),
        ("pair_id",),
        True,
        sources={
            "algorithm": "constant",
            "text_id": "docstring_pairs.token_sha256",
            "n_tokens bands is_crowded": "docstring_pairs.code",
            "*": "docstring_pairs.*",
        },
    ),
    Table(
        "near_duplicate_edges",
        "Two different texts of functions, of any dumps, whose token 5-shingles are nearly the same.",
        (
            column("left_text", I, "text_id of the smaller number", ge=0),
            column("right_text", I, "text_id of the greater number", ge=0),
            column("jaccard", F, "exact Jaccard similarity of the sets of token 5-shingles", ge=0.8, le=1),
            _ALGORITHM,
        ),
        ("left_text", "right_text"),
        sources={
            "algorithm": "constant",
            "left_text right_text": "function_signatures.text_id",
            "jaccard": "docstring_pairs.code",
        },
    ),
    Table(
        "compared_dumps",
        "The dumps that near_duplicate_edges covers: the next dump is compared with them and they are not again.",
        (
            DUMP,
            column("data_version", S, "data version of the dump's function_signatures"),
            column("n_functions", I, "rows of them", ge=0),
            _ALGORITHM,
            column("is_crowded", B, "a bucket was too full to compare all in it; then all dumps are compared anew"),
        ),
        ("dump",),
        sources={
            "algorithm": "constant",
            "data_version": "read in the file of function_signatures",
            "n_functions": "counted over function_signatures.dump",
            "is_crowded": "function_signatures.bands",
            "dump": "function_signatures.*",
        },
    ),
    Table(
        "duplicate_pairs",
        "A documented function that is left out over all dumps because a better one says the same.",
        (
            column("pair_id", S, "row of docstring_pairs that is left out"),
            DUMP,
            column("kept_pair_id", S, "row that stays"),
            column("kept_dump", S, "its dump"),
            column("jaccard", F, "exact Jaccard similarity of both", ge=0.8, le=1),
            column("reason", S, "equal tokens, or nearly", isin=("exact", "near")),
        ),
        ("pair_id",),
        sources={
            "kept_pair_id": "function_signatures.pair_id",
            "kept_dump": "function_signatures.dump",
            "jaccard": "near_duplicate_edges.jaccard, 1 for equal tokens",
            "reason": (
                "function_signatures.token_sha256 near_duplicate_edges.left_text near_duplicate_edges.right_text"
            ),
            "*": "function_signatures.*",
        },
    ),
)
