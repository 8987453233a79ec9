"""CPU of a training step against a plain loop of transformers and torch, and against nanochat's (`--nanochat`).

Same random model and rows, float32, one thread each, in turn. Forward and backward alone are equal work, and loss and
gradient are compared. A whole step has each one's optimizer: ours Muon and Adam, the plain loop AdamW, which does less
(and learns less in a step, which is not measured here). Supervised rows differ in length: ours sorts them into
micro-batches and applies the head to answers alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pygit2

from benchmarks.common.corpora import not_run
from benchmarks.common.rows import Options, Row, ratio_row
from benchmarks.turns.client import Ask, in_turn, relative_difference, worker
from cpp_pipeline.models.presets import PRESETS

_NAME = "model_training"
_MOST_GAP = 1e-4
_FIRST_ORDINARY_ID = 32
_SUPERVISED_ROWS = 24
Rows = list[list[int]]


def run(options: Options) -> list[Row]:
    """Ratios for two shapes of model."""
    sizes = options.size((("tiny", 16, 256), ("d4", 2, 512)), (("smoke", 2, 32),))
    return [row for size in sizes for row in _compared(*size, options)]


def _compared(name: str, count: int, tokens: int, options: Options) -> Iterator[Row]:
    against = f"transformers {version('transformers')}, torch {version('torch')}"
    vocab = PRESETS[name].shape.vocab
    rng = np.random.default_rng(options.seed)
    packed: Rows = rng.integers(_FIRST_ORDINARY_ID, vocab, (count, tokens + 1)).tolist()
    starts, rows = _supervised(rng, vocab, tokens)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-")))
        ours, plain = (stack.enter_context(worker(file)) for file in ("ours_train.py", "hf_train.py"))
        ours("make_model", folder=str(folder), preset_name=name, seed=options.seed)
        for side in (ours, plain):
            side("load", folder=str(folder))
        yield _agreement(name, ours, plain, packed, folder, against)

        def row(what: str, peer: str, do: str, **order: object) -> Row:
            mine, theirs = in_turn(options.turns(5), *(_timed(side, do, **order) for side in (ours, plain)))
            return ratio_row(_NAME, f"{name}: {what}", mine, theirs, "CPU ms", against=f"{peer}, {against}")

        size = f"{count} packed rows of {tokens} tokens"
        yield row(f"forward and backward, {size}", "plain loop", "gradient", rows=packed, file="")
        yield row("optimizer alone, ours Muon and Adam", "torch.optim.Muon and AdamW", "optimizer_step")
        yield row(f"whole step, {size}", "plain loop with AdamW", "packed_step", rows=packed)
        what = f"whole step, {len(rows)} rows of {min(map(len, rows))} to {max(map(len, rows))} tokens, loss on answers"
        yield row(what, "plain loop with AdamW", "supervised_step", rows=rows, answers=starts)
        yield _nanochat(f"{name}: whole step, {size}, against nanochat", name, packed, ours, options, stack)


def _supervised(rng: np.random.Generator, vocab: int, longest: int) -> tuple[list[int], Rows]:
    """Where the answers begin, and rows of a request and an answer."""
    prompts = rng.integers(longest // 8, longest // 3, _SUPERVISED_ROWS).tolist()
    answers = np.clip(rng.lognormal(np.log(longest / 4), 0.4, _SUPERVISED_ROWS), 2, longest / 2).astype(int).tolist()
    return prompts, [
        rng.integers(_FIRST_ORDINARY_ID, vocab, p + a).tolist() for p, a in zip(prompts, answers, strict=True)
    ]


def _timed(side: Ask, do: str, **order: object) -> Callable[[], float]:
    return lambda: 1000 * side(do, **order).cpu


def _agreement(name: str, ours: Ask, plain: Ask, rows: Rows, folder: Path, against: str) -> Row:
    files = [folder / "ours.npy", folder / "plain.npy"]
    mine, other = (
        ask("gradient", rows=rows, file=str(file)).result for ask, file in zip((ours, plain), files, strict=True)
    )
    gap = relative_difference(*files)
    return Row(
        _NAME, f"{name}: loss and gradient of the packed rows agree", f"{mine:.6f}", f"{other:.6f}",
        bar=f"gradients differ by <= {_MOST_GAP:g} of their length", ok=gap <= _MOST_GAP,
        notes=f"gradients differ by {gap:.1e} of their length", against=against,
    )  # fmt: skip


def _nanochat(what: str, name: str, packed: Rows, ours: Ask, options: Options, stack: ExitStack) -> Row:
    if options.nanochat is None:
        return not_run(_NAME, what, "give a checkout of karpathy/nanochat: make bench PEER_NANOCHAT=path", "nanochat")
    shape = PRESETS[name].shape
    # Its optimizer is compiled at first use, which on a CPU takes minutes and is slower than without.
    peer = stack.enter_context(worker("nanochat_train.py", TORCHDYNAMO_DISABLE="1", NANOCHAT_DTYPE="float32"))
    parameters = peer(
        "load", checkout=str(options.nanochat), layers=shape.layers, width=shape.width, heads=shape.heads,
        kv_heads=shape.kv_heads, vocab=shape.vocab, tokens=len(packed[0]) - 1,
    ).result  # fmt: skip
    mine, theirs = in_turn(options.turns(5), *(_timed(side, "packed_step", rows=packed) for side in (ours, peer)))
    against = f"nanochat {_commit(options.nanochat)}, torch {version('torch')}, {parameters / 1e6:.1f} M parameters"
    return ratio_row(_NAME, what, mine, theirs, "CPU ms", against=against)


def _commit(checkout: Path) -> str:
    try:
        return str(pygit2.Repository(str(checkout)).head.target)[:7]
    except pygit2.GitError:
        return "of an unknown commit"
