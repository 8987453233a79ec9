"""Corpus: what each training stage reads, and proof that no held-out problem is in it."""

from pathlib import Path

import dagster as dg
import polars as pl

from cpp_pipeline.corpus import cmake, sft
from cpp_pipeline.corpus.mixing import build_corpus, tokenizer_texts
from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.curate.decontaminate import hits, training_texts
from cpp_pipeline.curate.representatives import without_duplicates
from cpp_pipeline.defs.resources import PRESET, SETTINGS, join_engine
from cpp_pipeline.storage.assets import table_asset
from cpp_pipeline.storage.folder_assets import folder_asset, write_result
from cpp_pipeline.storage.previews import corpus_facts, tokenizer_facts

_SEED = {"seed": SETTINGS.seed}


@table_asset(
    "decontamination_report",
    group="corpus",
    kinds={"duckdb", "polars"},
    code=["curate/decontaminate.py", "curate/gram_kernel.py", "extract/token_kernel.py"],
    plots={"decontamination_report": "rule"},
)
def decontamination_report(
    context: dg.AssetExecutionContext,
    clean_files: pl.LazyFrame,
    docstring_pairs: pl.LazyFrame,
    diff_sft: pl.LazyFrame,
    train_problems: pl.LazyFrame,
    eval_problems: pl.LazyFrame,
) -> pl.LazyFrame:
    """Compare what may be trained on with the held-out problems."""
    training = training_texts(clean_files, docstring_pairs, diff_sft, train_problems)
    with join_engine() as engine:
        return hits(training, eval_problems, engine)


@folder_asset(
    "tokenizer",
    kind="checkpoints",
    shown=tokenizer_facts,
    group="corpus",
    kinds={"huggingface"},
    deps=["clean_files", "train_problems", "decontamination_report"],
    code=["corpus/tokenizer.py", "corpus/mixing.py", "corpus/formats.py"],
    config={"vocab": PRESET.shape.vocab, **_SEED},
    description="Byte-level BPE with the FIM and chat specials, as `tokenizer.json`.",
)
def tokenizer(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train the tokenizer on kept files and problems."""
    store = context.resources.storage.store
    texts = tokenizer_texts(
        store.scan("clean_files"),
        store.scan("train_problems"),
        SETTINGS.seed,
        PRESET.shape.vocab,
        sft.excluded(store.scan("decontamination_report")),
    )
    facts = train_tokenizer(texts, PRESET.shape.vocab, work)
    write_result(work, "tokenizer", facts)


@folder_asset(
    "pretraining_corpus",
    kind="shards",
    shown=corpus_facts,
    group="corpus",
    kinds={"numpy"},
    deps=["clean_files", "docstring_pairs", "duplicate_pairs", "train_problems", "decontamination_report", "tokenizer"],
    code=["corpus/mixing.py"],
    config={"tokens": PRESET.corpus_tokens, "row": PRESET.seq_tokens, **_SEED},
    description="Packed token shards: raw 40 %, random FIM 40 %, structured FIM 20 % of the tokens.",
)
def pretraining_corpus(context: dg.AssetExecutionContext, work: Path) -> None:
    """Mix, tokenize and pack what the base model reads."""
    store = context.resources.storage.store
    tokenizer_folder = store.local_folder("checkpoints", "tokenizer")
    stats = build_corpus(
        store.scan("clean_files"),
        without_duplicates(store.scan("docstring_pairs"), store.scan("duplicate_pairs")),
        store.scan("train_problems"),
        tokenizer_folder,
        work,
        seq_tokens=PRESET.seq_tokens,
        target_tokens=PRESET.corpus_tokens,
        seed=SETTINGS.seed,
        excluded_ids=sft.excluded(store.scan("decontamination_report")),
    )
    write_result(work, "pretraining_corpus", stats)


@table_asset(
    "docstring_sft",
    group="corpus",
    kinds={"polars"},
    code=["corpus/sft.py"],
    config={"problems": PRESET.sft_problems, **_SEED},
    plots={"docstring_sft": "licence"},
)
def docstring_sft(
    context: dg.AssetExecutionContext,
    docstring_pairs: pl.LazyFrame,
    duplicate_pairs: pl.LazyFrame,
    decontamination_report: pl.LazyFrame,
) -> pl.LazyFrame:
    """Turn documented functions into instructions and responses."""
    pairs = without_duplicates(docstring_pairs, duplicate_pairs)
    return sft.docstring_sft(pairs, sft.excluded(decontamination_report), PRESET, SETTINGS.seed)


@table_asset(
    "pass_k_sft",
    group="corpus",
    kinds={"polars"},
    code=["corpus/sft.py"],
    config=_SEED,
    plots={"pass_k_sft": "licence"},
)
def pass_k_sft(
    context: dg.AssetExecutionContext, pass_k_solutions: pl.LazyFrame, train_problems: pl.LazyFrame
) -> pl.LazyFrame:
    """Collect the base model's accepted solutions by problem."""
    return sft.pass_k_sft(pass_k_solutions, train_problems)


@table_asset(
    "combined_sft",
    "combined_sft_quarantine",
    group="corpus",
    kinds={"polars"},
    code=["corpus/sft.py", "corpus/formats.py"],
    config={
        "problems": PRESET.sft_problems,
        "docstring_weight": PRESET.docstring_weight,
        "row": min(PRESET.seq_tokens, PRESET.shape.context),
        **_SEED,
    },
    plots={"combined_sft": "source"},
)
def combined_sft(
    context: dg.AssetExecutionContext,
    docstring_sft: pl.LazyFrame,
    pass_k_sft: pl.LazyFrame,
    diff_sft: pl.LazyFrame,
    repair_rows: pl.LazyFrame,
    train_problems: pl.LazyFrame,
    decontamination_report: pl.LazyFrame,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Join all supervised rows with their weights."""
    return sft.combined_sft(
        docstring_sft,
        pass_k_sft,
        diff_sft,
        repair_rows,
        train_problems,
        sft.excluded(decontamination_report),
        PRESET,
        SETTINGS.seed,
    )


@table_asset(
    "combined_cmake",
    group="corpus",
    kinds={"polars"},
    code=["corpus/cmake.py"],
    plots={"combined_cmake": "source"},
)
def combined_cmake(
    context: dg.AssetExecutionContext, cmake_sft: pl.LazyFrame, cmake_problems: pl.LazyFrame
) -> pl.LazyFrame:
    """Join the CMake rows of dumps and of generated projects."""
    return cmake.combined_cmake(cmake_sft, cmake_problems)
