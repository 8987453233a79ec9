"""What the Dagster UI shows of folders: tokens, documents and metrics.

Belongs here: previews and plots of a finished folder; a better one remakes nothing. Does not belong here: tables and
the drawing itself (`metadata`), learning curves (`training/curves`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.corpus.shards import open_shards
from cpp_pipeline.corpus.tokenizer import decode, load_tokenizer
from cpp_pipeline.storage.metadata import column_plot, metrics_markdown, metrics_plot, preview, share_plot

_CHARACTERS = 1_500


def tokenizer_facts(folder: Path) -> dict[str, Any]:
    """The longest tokens, and how long tokens are."""
    tok = load_tokenizer(folder)
    rows = [(token, number, len(token)) for number in range(tok.get_vocab_size()) if (token := decode(tok, [number]))]
    names = {"token": pl.String, "id": pl.Int64, "characters": pl.Int64}
    tokens = pl.LazyFrame(rows, schema=names, orient="row").sort("characters", "id", descending=[True, False])
    return {
        "preview": dg.MetadataValue.md(preview(tokens)),
        "plot": dg.MetadataValue.md(column_plot(tokens, "characters", "tokens by characters")),
    }


def corpus_facts(folder: Path, tokenizer_folder: Path, stats: Mapping[str, Any]) -> dict[str, Any]:
    """The first row with its special tokens spelled out, and the tokens of each mode."""
    shards, tok = open_shards(folder), load_tokenizer(tokenizer_folder)
    text = decode(tok, [int(i) for i in shards.row(0) if i != shards.pad_id])[:_CHARACTERS]
    return {
        "dagster/row_count": shards.rows,
        "mix": dg.MetadataValue.json(dict(stats)),
        "preview": dg.MetadataValue.md(f"~~~cpp\n{text}\n~~~"),
        "plot": dg.MetadataValue.md(share_plot(stats["tokens_by_mode"], "tokens by mode")),
    }


def report_facts(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of a report as a table and as a plot."""
    return {
        "metrics": dg.MetadataValue.md(metrics_markdown(metrics)),
        "plot": dg.MetadataValue.md(metrics_plot(metrics, name)),
    }
