"""CPU of GSPO's training pass against TRL's GRPOTrainer at `importance_sampling_level="sequence"`.

Same random model, prompts, completions, rewards, mini-batches, clip range and Adam, float32, one thread each, in turn.
Prompts and completions have the lengths that generated problems have; ours gains where TRL computes on padding. First
the optimizer steps alone; then with what each does before them (TRL scores all completions once more for the old
log-probabilities; ours takes the sampler's, which on a CPU are the trainer's own). Loss and gradient are compared, too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.corpora import not_run, peer_python, peer_version
from benchmarks.common.rows import Options, Row, ratio_row
from benchmarks.turns.client import Ask, in_turn, relative_difference, worker
from cpp_pipeline.models.presets import PRESETS

_NAME = "model_gspo"
_GROUP_SIZE, _STEPS = 8, 4
_LEAST, _MOST_GAP, _MOST_LOSS_GAP = 1.0, 1e-5, 1e-5
_FIRST_ORDINARY_ID = 32
_SHIFT_NATS = 2e-4


def run(options: Options) -> list[Row]:
    """Ratios for two shapes of model, and how well loss and gradient agree."""
    python = peer_python(options, "trl")
    if python is None:
        return [not_run(_NAME, "GSPO training pass", "give --peers with PEERS/trl; see scripts/bench-corpora", "trl")]
    against = peer_version(options, "trl", ("torch", "transformers"))
    sizes = options.size((("tiny", 32), ("d4", 8)), (("smoke", 4),))
    return [row for preset, groups in sizes for row in _compared(preset, groups, python, against, options)]


def rollouts(groups: int, vocab: int, longest: int, seed: int) -> list[dict[str, Any]]:
    """Random ids in lengths like those of problems, all completions distinct, no group with equal rewards.

    `shift` is what a policy that has moved adds to the old log-probabilities, in nats a token.
    """
    rng = np.random.default_rng(seed)
    found = []
    for group in range(groups):
        prompt = rng.integers(_FIRST_ORDINARY_ID, vocab, rng.integers(longest // 3, longest)).tolist()
        rewards = rng.permutation(np.arange(_GROUP_SIZE) < rng.integers(1, _GROUP_SIZE)).astype(float)
        for reward in rewards.tolist():
            length = int(np.clip(rng.lognormal(np.log(0.6 * longest), 0.4), 4, longest))
            completion = rng.integers(_FIRST_ORDINARY_ID, vocab, length).tolist()
            shift = (_SHIFT_NATS * rng.normal(size=length) + _SHIFT_NATS * rng.normal()).tolist()
            found.append({"group": group, "prompt": prompt, "completion": completion, "reward": reward, "shift": shift})
    return found


def _compared(name: str, groups: int, python: Path, against: str, options: Options) -> Iterator[Row]:
    preset = PRESETS[name]
    longest = min(110, preset.max_new_tokens)
    settings = {
        "epsilon": preset.gspo_epsilon,
        "epsilon_high": preset.gspo_epsilon_high,
        "lr": preset.gspo_lr,
        "steps": _STEPS,
        "seed": options.seed,
        "group_size": _GROUP_SIZE,
        "max_new_tokens": longest,
    }
    given = rollouts(groups, preset.shape.vocab, longest, options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder,
        worker("ours_gspo.py") as ours,
        worker("trl_gspo.py", python) as trl,
    ):
        (Path(folder) / "rollouts.json").write_text(json.dumps(given))
        ours("make_model", folder=folder, preset_name=name, seed=options.seed)
        order = ours("load", folder=folder, settings=settings).result
        trl("load", folder=folder, settings=settings, order=order)
        yield from _agreement(name, ours, trl, Path(folder), against)
        sides = [partial(_cpu, side, do) for side, do in ((ours, "training_pass"), (trl, "training_pass"))]
        sides.append(partial(_cpu, trl, "whole_pass"))
        mine, steps, whole = in_turn(options.turns(3), *sides)
        what = f"{name}: {_STEPS} optimizer steps on {len(given)} rollouts"
        notes = _sizes(given)
        yield ratio_row(_NAME, what, mine, steps, "CPU s", _LEAST, notes, against)
        what = f"{name}: the same with each one's way to old log-probabilities"
        yield ratio_row(_NAME, what, mine, whole, "CPU s", _LEAST, against=against)


def _agreement(name: str, ours: Ask, trl: Ask, folder: Path, against: str) -> Iterator[Row]:
    files = [folder / "ours.npy", folder / "trl.npy"]
    mine, other = (ask("gradient", file=str(file)).result for ask, file in zip((ours, trl), files, strict=True))
    gap = relative_difference(*files)
    yield Row(
        _NAME, f"{name}: loss and gradient of a mini-batch off policy agree", f"{mine:.7f}", f"{other:.7f}",
        bar=f"gradients differ by <= {_MOST_GAP:g} of their length", ok=gap <= _MOST_GAP,
        notes=f"gradients differ by {gap:.1e} of their length", against=against,
    )  # fmt: skip
    losses = [ask("training_pass").result for ask in (ours, trl)]
    mine, other = (" ".join(f"{loss:.6f}" for loss in side) for side in losses)
    apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
    yield Row(
        _NAME, f"{name}: losses of the {_STEPS} steps, each on the weights that the last one left", mine, other,
        bar=f"differ by <= {_MOST_LOSS_GAP:g}", ok=apart <= _MOST_LOSS_GAP, notes=f"differ by {apart:.1e}",
        against=against,
    )  # fmt: skip


def _cpu(ask: Ask, do: str) -> float:
    return ask(do).cpu


def _sizes(given: Sequence[dict[str, Any]]) -> str:
    prompts, answers = ([len(r[part]) for r in given] for part in ("prompt", "completion"))
    padded = len(given) * (max(prompts) + max(answers))
    return (
        f"prompts of {min(prompts)} to {max(prompts)} tokens, completions of {min(answers)} to {max(answers)}; "
        f"{1 - sum(prompts + answers) / padded:.0%} of TRL's positions are padding"
    )
