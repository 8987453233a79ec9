"""What is measured of near duplicates, each in a process of its own: prints one JSON object.

`pairs TEXTS.parquet PAIRS.npy`: similar pairs of one table. `truth TEXTS.parquet PAIRS.npy`: all of them, by an exact
join. `increment FOLDER`: duplicates over all dumps, then one more. CPU is without loading compiled code.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cpp_pipeline.curate.across import Compared, compare
from cpp_pipeline.curate.duplicates import similar_pairs
from cpp_pipeline.curate.joins import open_engine
from cpp_pipeline.curate.representatives import representatives
from cpp_pipeline.curate.signature_kernel import bucket_pairs, overlaps, shingle_sets
from cpp_pipeline.curate.signatures import I64, MIN_TOKENS, THRESHOLD, function_signatures
from cpp_pipeline.extract.token_table import token_hashes, token_table
from cpp_pipeline.storage.parquet import write_parquet

_REPEATS = 5
_WARM = "int f(int a) { return a + 1; } " * 9


def pairs(source: Path, target: Path) -> dict[str, float]:
    """As for one dump: reading, lexing, signing, joining, verifying and choosing."""
    similar_pairs(lambda: [pl.Series([_WARM, _WARM])], np.arange(2))
    n = pl.scan_parquet(source).select(pl.len()).collect().item()
    started = time.process_time()
    better, worse = similar_pairs(lambda: _codes(source), np.arange(n))
    representatives(better, worse)
    cpu = time.process_time() - started
    np.save(target, np.stack([better, worse], axis=1))
    return {"cpu": cpu}


def truth(source: Path, target: Path) -> dict[str, float]:
    """Exact self join by prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007).

    Shingles are ordered from the rarest to the most frequent; two sets of similarity t share one among the first
    n - ceil(t n) + 1 of each.
    """
    hashes, offsets = token_hashes(pl.read_parquet(source, columns=["code"])["code"])
    values, ends = np.empty(len(hashes), np.uint64), np.zeros(len(offsets), np.int64)
    shingle_sets(hashes, offsets, values, ends[1:])
    values, sizes = values[: ends[-1]], np.diff(ends)
    sizes = np.where(np.diff(offsets) >= MIN_TOKENS, sizes, 0)
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    text = np.repeat(np.arange(len(sizes)), np.diff(ends))
    order = np.lexsort((number, count[number], text))
    place = np.arange(len(values)) - np.repeat(ends[:-1], np.diff(ends))
    prefix = sizes - np.ceil(THRESHOLD * sizes - 1e-9).astype(np.int64) + 1
    first = (place < prefix[text]) & (sizes[text] > 0)
    key, owner = number[order][first].astype(np.uint64), text[first]
    left, right = _all_pairs(key, owner)
    fits = np.minimum(sizes[left], sizes[right]) >= THRESHOLD * np.maximum(sizes[left], sizes[right]) - 1e-9
    left, right = left[fits], right[fits]
    jaccard = np.empty(len(left))
    overlaps(values, ends, left, values, ends, right, jaccard)
    close = jaccard >= THRESHOLD
    np.save(target, np.stack([left[close], right[close]], axis=1))
    return {"candidates": len(left)}


def _all_pairs(key: np.ndarray[Any, np.dtype[np.uint64]], owner: I64) -> tuple[I64, I64]:
    """Distinct pairs of owners that have a key in common."""
    order = np.argsort(key)
    none = np.empty(0, np.int64)
    n = bucket_pairs(key, order, len(key), none, none)
    left, right = np.empty(n, np.int64), np.empty(n, np.int64)
    bucket_pairs(key, order, len(key), left, right)
    a, b = owner[left], owner[right]
    packed = np.sort(np.minimum(a, b) << 32 | np.maximum(a, b))
    packed = packed[np.r_[True, packed[1:] != packed[:-1]]] if len(packed) else packed
    return packed >> 32, packed & 0xFFFFFFFF


def increment(folder: Path) -> dict[str, float]:
    """All dumps but the last from nothing, then the last one, then all from nothing for comparison.

    The last one takes about a second, so it is added several times: the median counts.
    """
    dumps = sorted(folder.glob("*.parquet"))
    signed = folder / "signed"
    signed.mkdir()
    versions = {dump.stem: "1" for dump in dumps}

    def sign(dump: Path) -> tuple[float, float]:
        started = time.process_time()
        for codes in _codes(dump):
            token_table(codes)
        lexed = time.process_time()
        write_parquet(function_signatures(pl.scan_parquet(dump)), signed / dump.name)
        return lexed - started, time.process_time() - lexed

    def join(some: list[Path], before: Compared | None) -> tuple[Compared, float]:
        started = time.process_time()
        frames = pl.scan_parquet([signed / dump.name for dump in some]), pl.scan_parquet(some)
        with open_engine() as engine:
            made = compare(*frames, versions, before, engine, folder)
            made = Compared(made.edges.collect().lazy(), made.dumps.collect().lazy())
        return made, time.process_time() - started

    sign(dumps[-1])
    join(dumps[-1:], None)
    costs = [sign(dump) for dump in dumps[:-1]]
    before, edges = join(dumps[:-1], None)
    more = [(*sign(dumps[-1]), *join(dumps, before)) for _ in range(_REPEATS)]
    tokens, signatures, after, added = sorted(more, key=lambda one: one[0] + one[1] + one[3])[_REPEATS // 2]
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    anew, _ = join(dumps, None)
    return {
        "tokens": sum(t for t, _ in costs), "signatures": sum(s for _, s in costs), "edges": edges,
        "new tokens": tokens, "new signatures": signatures, "new edges": added,
        "least": min(t + s + e for t, s, _, e in more), "most": max(t + s + e for t, s, _, e in more),
        "found": after.edges.select(pl.len()).collect().item(),
        "equal": float(after.edges.collect().equals(anew.edges.collect())), "rss": rss,
    }  # fmt: skip


def _codes(source: Path) -> Iterator[pl.Series]:
    for batch in pl.scan_parquet(source).select("code").collect_batches(chunk_size=10_000, maintain_order=True):
        yield batch["code"]


def main() -> None:
    """Run what the command line names."""
    kind, *paths = sys.argv[1:]
    places = [Path(path) for path in paths]
    facts = increment(*places) if kind == "increment" else {"pairs": pairs, "truth": truth}[kind](*places)
    print(json.dumps({"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **facts}))


if __name__ == "__main__":
    main()
