"""The pretraining corpus: real code and documented functions, raw and as FIM, in fixed shares.

Belongs here: the shares, the build from tables to shards, statistics, texts for the tokenizer.
Does not belong here: the order of documents (`mixture`), FIM layouts (`fim`, `formats`), files (`shards`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.corpus.formats import PAD
from cpp_pipeline.corpus.mixture import Cell, Cursor, Mixture, Mode, Source
from cpp_pipeline.corpus.packing import pack
from cpp_pipeline.corpus.shards import write_shards
from cpp_pipeline.corpus.sources import FileChunks, PairFunctions, ProblemFunctions, cpp_files, stream_rows
from cpp_pipeline.corpus.tokenizer import load_tokenizer, special_id, tokenizer_sha256

MODE_SHARES: dict[Mode, float] = {"raw": 0.4, "random_fim": 0.4, "structured_fim": 0.2}
STRUCTURED_PAIRS_SHARE = 0.1
"""Part of structured FIM that comes from real documented functions; the rest is family."""
CHARACTERS_PER_TOKEN = 2.54
"""Chunks are at most this many characters a context token, so that most of them fit one row."""
MAX_REAL_EPOCHS = 4
"""Repeats of real code before other sources fill up: up to about four, repeated data is worth almost as
much as new data (Muennighoff et al., arXiv 2305.16264)."""
TOKENIZER_CHUNK_CHARACTERS = 650
_BYTES_PER_TOKEN = 3.0
_SLICES_NEEDED = 4
"""Real code is read in slices of about a quarter of what is needed: few passes, little bias."""


def cell_quotas(
    target_tokens: int, family_share: float, pairs_share: float = STRUCTURED_PAIRS_SHARE
) -> dict[Cell, float]:
    """Tokens wanted of each (mode, source); the modes are exactly 40/40/20, family is `family_share`.

    Structured FIM takes its functions from the family first, as far as `family_share` goes.
    """
    if not 0 <= family_share <= 1:
        raise ValueError(f"family_share {family_share} is not between 0 and 1")
    structured = MODE_SHARES["structured_fim"]
    family_structured = min(structured * (1 - pairs_share), family_share)
    family_rest = min((family_share - family_structured) / 2, MODE_SHARES["raw"])
    shares: dict[Cell, float] = {
        ("structured_fim", "family"): family_structured,
        ("structured_fim", "docstring"): structured - family_structured,
    }
    for mode in ("raw", "random_fim"):
        shares[mode, "family"] = family_rest
        shares[mode, "real"] = MODE_SHARES[mode] - family_rest
    return {cell: share * target_tokens for cell, share in shares.items() if share > 0}


def _cursors(
    files: pl.LazyFrame,
    pairs: pl.LazyFrame,
    problems: pl.LazyFrame,
    *,
    seq_tokens: int,
    real_tokens: float,
    seed: int,
    excluded_ids: Collection[str],
) -> dict[Source, Cursor]:
    characters = int(CHARACTERS_PER_TOKEN * seq_tokens)
    functions = ProblemFunctions(problems, excluded_ids, seed)
    slices = _slices(files, real_tokens * _BYTES_PER_TOKEN)
    # Without problems nothing else could fill up, so real code then repeats as often as is needed.
    limit = MAX_REAL_EPOCHS if functions.rows else None
    return {
        "real": Cursor(
            FileChunks(files, excluded_ids, characters, seed, slices),
            None if limit is None else limit * slices,
        ),
        "family": Cursor(functions),
        "docstring": Cursor(PairFunctions(pairs, excluded_ids, characters), limit),
    }


def _statistics(mixture: Mixture, rows: int) -> dict[str, Any]:
    tokens = sum(mixture.given.values())
    by_mode: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for (mode, source), count in sorted(mixture.given.items()):
        by_mode[mode] += count
        by_source[source] += count
    return {
        "tokens": tokens,
        "tokens_by_mode": dict(by_mode),
        "tokens_by_source": dict(by_source),
        "share_by_mode": {mode: count / tokens for mode, count in by_mode.items()},
        "documents": dict(sorted(mixture.documents.items())),
        "rows": rows,
        "padding_share": 1 - tokens / (rows * mixture.row_tokens),
        "bytes_per_token": mixture.text_bytes / max(1, mixture.text_tokens),
        "passes": {name: cursor.epoch for name, cursor in sorted(mixture.cursors.items())},
        "skipped": {f"{m}/{s}": n for (m, s), n in sorted(mixture.skipped.items()) if n},
        "notes": mixture.notes,
    }


def build_corpus(
    files: pl.LazyFrame,
    pairs: pl.LazyFrame,
    problems: pl.LazyFrame,
    tokenizer_folder: Path,
    out: Path,
    *,
    seq_tokens: int,
    target_tokens: int,
    seed: int,
    excluded_ids: Collection[str] = frozenset(),
    family_share: float = 0.5,
) -> dict[str, Any]:
    """Mix, pack and write the corpus as shards in `out`.

    Parameters
    ----------
    files, pairs, problems
        Frames of clean_files, docstring_pairs and train_problems. Files are streamed.
    seq_tokens
        Context; a row holds one id more.
    target_tokens
        Tokens without padding. Where the sources hold less they repeat, with new FIM cuts.
    excluded_ids
        Rows not to be trained on: problem ids, pair ids, and files as dump/repo/path.
    family_share
        Part of the tokens that comes from reference solutions of problems.

    Returns
    -------
    dict
        tokens, tokens_by_mode, tokens_by_source, share_by_mode, documents, rows, padding_share,
        bytes_per_token (of raw documents), passes, skipped, notes. Shares hold to within one document.

    Raises
    ------
    ValueError
        When no source has any text.
    """
    tok = load_tokenizer(tokenizer_folder)
    pad_id = special_id(tok, PAD)
    quotas = cell_quotas(target_tokens, family_share)
    real_tokens = sum(quota for (_, source), quota in quotas.items() if source == "real")
    cursors = _cursors(
        files,
        pairs,
        problems,
        seq_tokens=seq_tokens,
        real_tokens=real_tokens,
        seed=seed,
        excluded_ids=excluded_ids,
    )
    mixture = Mixture(tok, seq_tokens + 1, target_tokens, quotas, cursors)
    stats: dict[str, Any] = {}
    rows = 0

    def counted() -> Iterator[Any]:
        nonlocal rows
        for row in pack(mixture.stream(), seq_tokens + 1, pad_id):
            rows += 1
            yield row
        stats.update(_statistics(mixture, rows))

    write_shards(
        counted(),
        out,
        seq_tokens=seq_tokens,
        vocab=tok.get_vocab_size(),
        pad_id=pad_id,
        tokenizer_sha256=tokenizer_sha256(tokenizer_folder),
        stats=stats,
    )
    return stats


def tokenizer_texts(
    files: pl.LazyFrame,
    problems: pl.LazyFrame,
    seed: int,
    vocab: int = 1024,
    excluded_ids: Collection[str] = frozenset(),
) -> Iterator[str]:
    """Texts that the tokenizer is trained on: chunks of real code, documented functions, requests.

    Real code is sampled over all files, about 1,000 bytes per wanted token (more brings nothing
    measurable); every problem gives one function and one request. `excluded_ids` are those of `build_corpus`.
    """
    wanted = 1000 * vocab
    slices = _slices(files, wanted)
    chunks = FileChunks(files, excluded_ids, TOKENIZER_CHUNK_CHARACTERS, seed, slices)
    taken = 0
    for document in itertools.chain.from_iterable(map(chunks.documents, range(slices))):
        if taken >= wanted:
            break
        taken += len(document.text.encode("utf-8"))
        yield document.text
    for document in ProblemFunctions(problems, excluded_ids, seed).documents(0):
        yield document.text
    for row in stream_rows(problems.select("problem_id", "instruction")):
        if row["problem_id"] not in excluded_ids:
            yield str(row["instruction"])


def _slices(files: pl.LazyFrame, wanted_bytes: float) -> int:
    available = int(cpp_files(files).select(pl.col("size_bytes").sum()).collect().item() or 0)
    return max(1, round(available * _SLICES_NEEDED / max(1.0, wanted_bytes)))
