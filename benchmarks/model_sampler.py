"""CPU a sampled token against `generate` of transformers, which this project's own environment holds.

Same random model, prompts, number of completions and temperature, float32, one thread each, in turn. Either all
completions run to the limit, or one token in fifty is an end token, so that lengths are geometric as those of code
are: then ours drops finished rows, `generate` carries them on as padding. Greedy completions are compared, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np

from benchmarks.common.rows import Options, Row, ratio_row
from benchmarks.turns.client import Ask, in_turn, worker
from cpp_pipeline.models.presets import PRESETS

_NAME = "model_sampler"
_LEAST = 1.0
_FIRST_ORDINARY_ID = 32
_MEAN_LENGTH = 50
_CACHES = {"": "generate", "static": "generate with a static cache"}


def run(options: Options) -> list[Row]:
    """Ratios for two shapes of model, two kinds of length and two caches of the peer."""
    against = f"transformers {version('transformers')}, torch {version('torch')}"
    sizes = options.size((("tiny", 32, 8, 110), ("d4", 8, 8, 128)), (("smoke", 2, 2, 8),))
    return [row for size in sizes for row in _compared(*size, against, options)]


def _compared(name: str, prompts: int, n: int, new_tokens: int, against: str, options: Options) -> Iterator[Row]:
    vocab = PRESETS[name].shape.vocab
    rng = np.random.default_rng(options.seed)
    ids = [rng.integers(_FIRST_ORDINARY_ID, vocab, rng.integers(40, 81)).tolist() for _ in range(prompts)]
    order = {"prompts": ids, "n": n, "new_tokens": new_tokens, "seed": options.seed}
    with (
        tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder,
        worker("ours_sampler.py") as ours,
        worker("hf_generate.py") as peer,
    ):
        ours("make_model", folder=folder, preset_name=name, seed=options.seed)
        for side in (ours, peer):
            side("load", folder=folder)
        yield _greedy(name, ours, peer, order, against)
        size = f"{prompts} prompts x {n} completions, at most {new_tokens} new tokens"
        ends = rng.choice(np.arange(_FIRST_ORDINARY_ID, vocab), vocab // _MEAN_LENGTH, replace=False).tolist()
        for what, stops in (("full length", []), ("lengths differ", ends)):
            sampled = {**order, "temperature": 1.0, "ends": stops}
            for row in _rows(f"{name}, {what}", ours, peer, sampled, against, options):
                yield replace(row, notes=size)


def _rows(what: str, ours: Ask, peer: Ask, order: dict[str, object], against: str, options: Options) -> Iterator[Row]:
    sides = [partial(_milliseconds_a_token, ours, order)]
    sides += [partial(_milliseconds_a_token, peer, {**order, "cache": cache}) for cache in _CACHES]
    mine, *others = in_turn(options.turns(3), *sides)
    for name, theirs in zip(_CACHES.values(), others, strict=True):
        yield ratio_row(_NAME, f"{what}, against {name}", mine, theirs, "CPU ms/token", _LEAST, against=against)


def _milliseconds_a_token(ask: Ask, order: dict[str, object]) -> float:
    answer = ask("generate", **order)
    return 1000 * answer.cpu / max(1, _tokens(answer.result))


def _tokens(completions: Sequence[Sequence[int]]) -> int:
    return sum(map(len, completions))


def _greedy(name: str, ours: Ask, peer: Ask, order: dict[str, object], against: str) -> Row:
    """A random model's best tokens lie close together, so that rounding may part two texts: told, with no bar."""
    asked = {**order, "n": 1, "new_tokens": 32, "temperature": 0.0, "ends": []}
    mine = ours("generate", **asked).result
    theirs = peer("generate", **asked, cache="").result
    same = sum(a == b for a, b in zip(mine, theirs, strict=True))
    return Row(_NAME, f"{name}: greedy completions that are the same", f"{same} of {len(mine)}", against=against)
