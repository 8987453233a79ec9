"""Near duplicates: against the exact join and datasketch on planted variants, and the cost of one more dump.

Texts are real functions of the corpora, planted variants of them and spliced fillers (`common/planted.py`). Every
side runs in a process of its own; CPU seconds count.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.common.corpora import corpora, not_run, peer_python, peer_version
from benchmarks.common.planted import planted, real_functions
from benchmarks.common.rows import Options, Row, ratio_row
from cpp_pipeline.extract.token_table import token_table
from cpp_pipeline.storage.parquet import write_parquet

SUBJECT = "data_duplicates"
_DUMPS = 10
_HERE = Path(__file__).parent
Facts = dict[str, float]


def run(options: Options) -> list[Row]:
    """Quality, cost and memory on one table; then cost of an increment over dumps."""
    trees = corpora(options)
    if not trees:
        return [not_run(SUBJECT, "near duplicates", "give source trees with --corpora")]
    functions = real_functions(list(trees.values()))
    with tempfile.TemporaryDirectory() as folder:
        return [*_one_table(options, functions, Path(folder)), *_one_more_dump(options, functions, Path(folder))]


def _one_table(options: Options, functions: list[str], folder: Path) -> list[Row]:
    size = options.size(200_000, 3_000)
    texts = pl.DataFrame({"code": list(planted(functions, size, options.seed))})
    source = folder / "texts.parquet"
    write_parquet(texts.lazy(), source)
    _worker("truth", source, folder / "truth.npy")
    python = peer_python(options, "datasketch")
    ours, peer = [], []
    for turn in range(options.turns(3, 2)):
        ours.append(_worker("pairs", source, folder / f"ours{turn}.npy"))
        peer += [_datasketch(python, texts, folder)] if python else []
    found, true = _pairs(folder / "ours0.npy"), _pairs(folder / "truth.npy")
    precision, recall, f1 = _quality(found, true)
    same = len({_digest(folder / f"ours{turn}.npy") for turn in range(len(ours))}) == 1
    seconds, peak = [run["cpu"] for run in ours], max(run["rss"] for run in ours)
    what = f"F1 of the pairs; {size:,} functions, {len(true):,} pairs of Jaccard >= 0.8"
    return [
        Row(SUBJECT, what, f"{f1:.4f}", bar=">= 0.97", ok=f1 >= 0.97, notes=f"recall {recall:.4f}"),
        Row(SUBJECT, "precision of the pairs", f"{precision:.4f}", bar=">= 0.99", ok=precision >= 0.99),
        _against_datasketch(options, folder, seconds, peer, true),
        Row(SUBJECT, "peak memory", f"{peak:.0f} MB", bar="<= 1,500 MB", ok=peak <= 1500),
        Row(SUBJECT, f"the same pairs in {len(ours)} processes", "yes" if same else "no", bar="yes", ok=same),
    ]


def _datasketch(python: Path, texts: pl.DataFrame, folder: Path) -> Facts:
    """What one run of the peer took; its pairs lie in `peer.json`."""
    lines = folder / "texts.jsonl"
    if not lines.exists():
        lines.write_text("".join(f"{json.dumps(code)}\n" for code in texts["code"]))
    return _json([str(python), str(_HERE / "common" / "datasketch_peer.py"), str(lines), str(folder / "peer.json")])


def _against_datasketch(
    options: Options, folder: Path, ours: Sequence[float], peer: Sequence[Facts], true: set[tuple[int, int]]
) -> Row:
    what = "CPU against datasketch, 128 permutations"
    if not peer:
        return not_run(SUBJECT, what, "give its environment with --peers")
    found = {(i, j) for i, j in json.loads((folder / "peer.json").read_text())}
    precision, recall, f1 = _quality(found, true)
    peak = max(run["rss"] for run in peer)
    notes = f"datasketch: F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f}, {peak:.0f} MB"
    of_peer = peer_version(options, "datasketch")
    return ratio_row(SUBJECT, what, ours, [run["cpu"] for run in peer], "CPU s", 10, notes, of_peer)


def _one_more_dump(options: Options, functions: list[str], folder: Path) -> list[Row]:
    size = options.size(1_000_000, 20_000)
    tables = folder / "dumps"
    tables.mkdir()
    texts = planted(functions, size + size // 100, options.seed + 1)
    for number in range(_DUMPS + 1):
        name = f"d{number:02}"
        codes = pl.Series("code", list(islice(texts, size // _DUMPS)))
        table = pl.DataFrame({"pair_id": [f"{name}-{i:020}" for i in range(len(codes))], "code": codes}).with_columns(
            pl.lit(name).alias("dump"), pl.lit(0.5).alias("quality"),
            pl.Series("token_sha256", token_table(codes).sha256),
        )  # fmt: skip
        write_parquet(table.lazy(), tables / f"{name}.parquet")
    facts = _worker("increment", tables)
    parts = ("tokens", "signatures", "edges")
    whole, more = sum(facts[p] for p in parts), sum(facts[f"new {p}"] for p in parts)
    share = more / whole
    notes = ", ".join(f"{p} {facts[p]:.1f} then {facts[f'new {p}']:.2f} s" for p in parts)
    notes += f"; {100 * facts['least'] / whole:.1f} to {100 * facts['most'] / whole:.1f} % in repeats"
    equal = bool(facts["equal"])
    return [
        Row(
            SUBJECT, f"1 % more on {size:,} functions, CPU of the whole", f"{100 * share:.1f} %", bar="<= 5 %",
            ok=None if options.quick else share <= 0.05, notes=notes,
        ),
        Row(
            SUBJECT, "edges after it equal those of all from nothing", "yes" if equal else "no", bar="yes", ok=equal,
            notes=f"{facts['found']:,.0f} edges",
        ),
        Row(SUBJECT, f"peak memory, {size:,} functions", f"{facts['rss']:.0f} MB", bar="<= 1,500 MB",
            ok=facts["rss"] <= 1500),
    ]  # fmt: skip


def _worker(*arguments: str | Path) -> Facts:
    return _json([sys.executable, "-m", "benchmarks.common.duplicates_worker", *map(str, arguments)])


def _json(command: list[str]) -> Facts:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_HERE.parent)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _pairs(file: Path) -> set[tuple[int, int]]:
    return {(i, j) for i, j in np.load(file).tolist()}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _quality(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    hits = len(found & true)
    precision, recall = hits / max(1, len(found)), hits / max(1, len(true))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)
