"""Packing of token documents into rows of one length, against TRL's `pack_dataset`: CPU, padding, tokens lost.

The same random documents: three in five may not be cut and fit a row (functions, infilling), the others are texts of up
to four rows. Ours packs best-fit-decreasing and lets those that may be cut flow into what rows have left. TRL's
`bfd_split` cuts what is longer than a row, `bfd` throws its rest away, `wrapped` cuts everywhere. First packing
alone, from each one's own form of documents, lists of numbers here and an Arrow column there. Then equal work, from
lists of numbers, as a tokenizer gives them, to files: shards with hashes here, a saved dataset there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common.corpora import not_run, peer_python, peer_version
from benchmarks.common.rows import Options, Row, ratio_row
from benchmarks.turns.client import Ask, in_turn, worker

_NAME = "corpus_packing"
_VOCAB = 1024
_NOT_CUT = 0.6
_MOST_PADDING = 0.01
_STRATEGIES = ("bfd_split", "wrapped", "bfd")


def run(options: Options) -> list[Row]:
    """Rows of ours always; ratios where there is an environment with TRL."""
    sizes = options.size(((257, 2_000_000), (2049, 4_000_000)), ((257, 50_000),))
    return [row for row_tokens, tokens in sizes for row in _compared(row_tokens, tokens, options)]


def documents(row_tokens: int, tokens: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    """`ids` of all documents without gaps and never 0, where each `ends`, and which `may_cut`."""
    rng = np.random.default_rng(seed)
    count = int(tokens / (0.75 * row_tokens))
    may_cut = rng.random(count) >= _NOT_CUT
    wanted = rng.lognormal(np.log(np.where(may_cut, 0.8, 0.4) * row_tokens), 0.8)
    lengths = np.clip(wanted, 8, np.where(may_cut, 4, 1) * row_tokens).astype(np.int64)
    return {"ids": rng.integers(1, _VOCAB, lengths.sum()), "ends": np.cumsum(lengths), "may_cut": may_cut}


def _compared(row_tokens: int, tokens: int, options: Options) -> Iterator[Row]:
    made = documents(row_tokens, tokens, options.seed)
    total = len(made["ids"])
    what = f"rows of {row_tokens} tokens"
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder, worker("ours_packing.py") as ours:
        file = f"{folder}/documents.npz"
        np.savez(file, ids=made["ids"], ends=made["ends"], may_cut=made["may_cut"])
        ours("load", file=file)
        mine = ours("tokens", row_tokens=row_tokens).result
        padding = 1 - mine[1] / (mine[0] * row_tokens)
        yield Row(
            _NAME, f"{what}: padding", f"{padding:.2%}", bar=f"<= {_MOST_PADDING:.0%}, no token lost",
            ok=padding <= _MOST_PADDING and mine[1] == total,
            notes=f"{len(made['ends']):,} documents, {total:,} tokens: {mine[0]} rows, {total - mine[1]} tokens lost",
        )  # fmt: skip
        python = peer_python(options, "trl")
        if python is None:
            yield not_run(_NAME, f"{what}: packing", "give --peers with PEERS/trl; see scripts/bench-corpora", "trl")
            return
        against = peer_version(options, "trl", ("datasets", "pyarrow"))
        with worker("trl_packing.py", python) as trl:
            trl("load", file=file)
            for strategy in _STRATEGIES:
                yield _quality(strategy, trl, row_tokens, total, padding, what, against)
            yield from _speed(ours, trl, row_tokens, total, folder, what, against, options)


def _quality(strategy: str, trl: Ask, row_tokens: int, total: int, padding: float, what: str, against: str) -> Row:
    rows, kept = trl("tokens", row_tokens=row_tokens, strategy=strategy).result
    share = f"{1 - kept / (rows * row_tokens):.2%}"
    notes = f"{rows} rows, {(total - kept) / total:.1%} of the tokens lost"
    return Row(_NAME, f"{what}: padding of {strategy}", f"{padding:.2%}", share, notes=notes, against=against)


def _speed(
    ours: Ask, trl: Ask, row_tokens: int, total: int, folder: str, what: str, against: str, options: Options
) -> Iterator[Row]:
    def timed(side: Ask, do: str, **order: object) -> Callable[[], float]:
        return lambda: 1e9 * side(do, row_tokens=row_tokens, **order).cpu / total

    for strategy in _STRATEGIES[:2]:
        memory = timed(ours, "in_memory"), timed(trl, "in_memory", strategy=strategy)
        disk = (
            timed(ours, "on_disk", vocab=_VOCAB, folder=f"{folder}/ours"),
            timed(trl, "on_disk", strategy=strategy, folder=f"{folder}/trl"),
        )
        for place, sides in (("packed in memory", memory), ("from lists of ids to files", disk)):
            mine, theirs = in_turn(options.turns(5), *sides)
            row = f"{what}: {place}, against {strategy}"
            notes = " and ".join(f"{1000 / np.median(side):.0f}" for side in (mine, theirs)) + " M tokens a CPU s"
            yield ratio_row(_NAME, row, mine, theirs, "CPU ns/token", notes=notes, against=against)
