"""Steps over a whole table, each in a process of its own: peak memory and CPU.

The table is `source_files` in 20 parquet files, made as it would be by 20 dumps, row group by row group; texts are
cut from one pool of generated functions, each with lines of its own.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.common.rows import Options, Row
from benchmarks.common.steps import in_own_process
from cpp_pipeline.corpus.sources import FileChunks
from cpp_pipeline.curate.decontaminate import hits, training_texts
from cpp_pipeline.curate.files import clean
from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.problems.bundled import bundled_problems
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.metadata import column_plot, preview
from cpp_pipeline.storage.parquet import content_version
from cpp_pipeline.storage.scratch import spooled
from cpp_pipeline.storage.store import Provenance, Store

_NAME = "data_tables"
_SHARDS = 20
_TEXT_BYTES = 8_000
_BAR_MIB = 1024
_NAMES = "account buffer cell degree entry field grid handle index job key list matrix node order page queue row"
_WORDS = _NAMES.split()


def run(options: Options) -> list[Row]:
    """One row a step; 4 GB of text, or 200 MB."""
    mib = options.size(4_000, 200)
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder:
        in_own_process(f"{__name__}:make", folder, str(mib))
        return [_row(step, mib, folder) for step in _STEPS]


def _row(step: str, mib: int, folder: str) -> Row:
    done = in_own_process(f"{__name__}:do", step, folder)
    ours = f"{done.peak_mib:.0f} MiB"
    notes = f"{done.cpu_seconds:.1f} CPU s; {done.result}"
    return Row(_NAME, f"{step}, {mib} MB", ours, bar=f"<= {_BAR_MIB} MiB", ok=done.peak_mib <= _BAR_MIB, notes=notes)


def make(folder: str, mib: str) -> None:
    """Write the table below `folder`, about `mib` million bytes of text."""
    rng = random.Random(0)
    pool = "".join(_function(rng) for _ in range(20_000))
    each = int(mib) * 1_000_000 // _SHARDS // _TEXT_BYTES
    store = Store(folder)
    for shard in range(_SHARDS):
        dump, spool = f"dump{shard:02}", Spool(TABLES["source_files"], Path(folder) / "spool.parquet")
        with spool:
            for number in range(each):
                spool.add(_file(rng, pool, dump, number))
        store.write_table(spool.scan(), Provenance("source_files", dump, "", "", "", "", each))


def _function(rng: random.Random) -> str:
    name, a, b = (f"{rng.choice(_WORDS)}_{rng.randrange(1000)}" for _ in range(3))
    lines = "".join(
        f"    {a} += {b} * {rng.randrange(100)} + {rng.choice(_WORDS)}({a}, {b});\n" for _ in range(rng.randrange(12))
    )
    doc = f"/// The {rng.choice(_WORDS)} of {a} for each {b}.\n"
    return f"{doc}int {name}(int {a}, int {b}) {{\n{lines}    return {a};\n}}\n"


def _file(rng: random.Random, pool: str, dump: str, number: int) -> dict[str, Any]:
    size = rng.randrange(2 * _TEXT_BYTES)
    begin = rng.randrange(len(pool) - size)
    content = f"// {dump} {number}{' by bob@example.com' if number % 50 == 0 else ''}\n{pool[begin : begin + size]}\n"
    return {
        "dump": dump, "repo": f"repo{number % 97}", "path": f"src/part{number % 1013}/file_{number}.cpp",
        "commit": None, "licence": "GPL-3.0-only" if number % 10 == 0 else "MIT", "language": "cpp",
        "sha256": f"{rng.getrandbits(256):064x}", "size_bytes": len(content), "is_test": number % 7 == 0,
        "is_vendored": False, "is_generated": False, "is_amalgamated": False, "content": content,
    }  # fmt: skip


def do(step: str, folder: str) -> str:
    """Run one step on the table below `folder`; what it returns is shown."""
    store = Store(folder)
    return _STEPS[step](store, store.scan("source_files"))


def _kept(store: Store, frame: pl.LazyFrame) -> str:
    """What the asset layer does with a table that an asset returned."""
    spool, path = spooled(TABLES["source_files"].conform(frame))
    rows = int(spool.select(pl.len()).collect().item())
    version = content_version(path)
    preview(spool)
    column_plot(spool, "language", "by language")
    store.write_table(spool, Provenance("source_files", "all", "", "", "", version, rows))
    Path(str(store.table_path("source_files", "all"))).unlink()
    return f"{rows} rows"


def _checked(_: Store, frame: pl.LazyFrame) -> str:
    table = TABLES["source_files"]
    return f"{len(table.violations(table.conform(frame)))} rules broken"


def _cleaned(_: Store, frame: pl.LazyFrame) -> str:
    sizes = [int(spooled(made)[0].select(pl.len()).collect().item()) for made in clean(frame)]
    return f"{sizes[0]} kept, {sizes[1]} dropped"


def _compared(_: Store, frame: pl.LazyFrame) -> str:
    files = frame.with_columns(n_redacted=pl.lit(0, pl.Int64))
    others = [TABLES[name].empty() for name in ("docstring_pairs", "diff_sft", "train_problems")]
    held_out = TABLES["eval_problems"].frame(bundled_problems()[1])
    return f"{hits(training_texts(files, *others), held_out).collect().height} hits"


def _chunked(_: Store, frame: pl.LazyFrame) -> str:
    chunks: Iterator[object] = FileChunks(frame, frozenset(), 4_000, seed=0, slices=10).documents(0)
    return f"{sum(1 for _ in chunks)} chunks"


_STEPS: dict[str, Callable[[Store, pl.LazyFrame], str]] = {
    "spooled, hashed, described and stored": _kept,
    "held to its schema": _checked,
    "cleaned and redacted": _cleaned,
    "decontaminated": _compared,
    "read by the corpus": _chunked,
}
