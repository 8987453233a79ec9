"""What the Dagster UI shows of folders: tokens, documents and metrics.

Belongs here: previews and plots of a finished folder, read from the folder alone, so that one that is kept shows the
same; a better one remakes nothing. Does not belong here: tables and the drawing itself (`metadata`), learning curves
(`training/curves`).

All take the asset's name, its finished folder, and the store, for other folders that are needed to read this one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.corpus.shards import open_shards
from cpp_pipeline.corpus.tokenizer import decode, load_tokenizer
from cpp_pipeline.storage.metadata import column_plot, metrics_markdown, metrics_plot, preview, share_plot
from cpp_pipeline.storage.store import Store
from cpp_pipeline.training.curves import loss_curve

_CHARACTERS = 1_500
_LAST_STEPS = 5


def checkpoint_facts(name: str, folder: Path, _store: Store) -> dict[str, Any]:
    """The learning curve, what the stage was told, and what it logged last."""
    metrics = folder / "metrics.jsonl"
    steps = [json.loads(line) for line in metrics.read_text().splitlines()[-_LAST_STEPS:]]
    config = json.loads((folder / "result.json").read_text()).get("config", {})
    told = pl.LazyFrame([(key, str(value)) for key, value in config.items()], ["setting", "value"], orient="row")
    return {
        "curve": dg.MetadataValue.md(loss_curve(metrics, name)),
        "preview": dg.MetadataValue.md(f"{preview(pl.LazyFrame(steps))}\n\n{preview(told, len(config))}"),
    }


def tokenizer_facts(_name: str, folder: Path, _store: Store) -> dict[str, Any]:
    """The longest tokens, and how long tokens are."""
    tok = load_tokenizer(folder)
    rows = [(token, number, len(token)) for number in range(tok.get_vocab_size()) if (token := decode(tok, [number]))]
    names = {"token": pl.String, "id": pl.Int64, "characters": pl.Int64}
    tokens = pl.LazyFrame(rows, schema=names, orient="row").sort("characters", "id", descending=[True, False])
    return {
        "preview": dg.MetadataValue.md(preview(tokens)),
        "plot": dg.MetadataValue.md(column_plot(tokens, "characters", "tokens by characters")),
    }


def corpus_facts(_name: str, folder: Path, store: Store) -> dict[str, Any]:
    """The first row with its special tokens spelled out, and the tokens of each mode."""
    shards, tok = open_shards(folder), load_tokenizer(store.local_folder("checkpoints", "tokenizer"))
    stats = json.loads((folder / "result.json").read_text())["metrics"]
    text = decode(tok, [int(i) for i in shards.row(0) if i != shards.pad_id])[:_CHARACTERS]
    return {
        "dagster/row_count": shards.rows,
        "mix": dg.MetadataValue.json(stats),
        "preview": dg.MetadataValue.md(f"~~~cpp\n{text}\n~~~"),
        "plot": dg.MetadataValue.md(share_plot(stats["tokens_by_mode"], "tokens by mode")),
    }


def report_facts(name: str, folder: Path, _store: Store) -> dict[str, Any]:
    """The metrics of a report as a table and as a plot."""
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "metrics": dg.MetadataValue.md(metrics_markdown(metrics)),
        "plot": dg.MetadataValue.md(metrics_plot(metrics, name)),
    }
