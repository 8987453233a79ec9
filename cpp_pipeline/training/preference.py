"""Train on preference pairs with Direct Preference Optimization (arXiv 2305.18290).

    python -m cpp_pipeline.training.preference --data preference_pairs.parquet --checkpoint_path DIR \\
        --output DIR

Belongs here: the loss, the pairs as ids, the loop. Does not belong here: which pairs there are (`rollouts`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from cpp_pipeline.corpus.tokenizer import load_tokenizer
from cpp_pipeline.models.build import load_model
from cpp_pipeline.training.common import Run, add_common_arguments, decay_linear
from cpp_pipeline.training.data import encode_chat, row_indices
from cpp_pipeline.training.gspo_logprobs import (
    MICRO_TOKENS,
    TokenRow,
    completion_logprobs,
    frozen_logprobs,
)
from cpp_pipeline.training.stage import script, start_process
from cpp_pipeline.training.state import file_sha256

BETAS = (0.9, 0.95)
GRAD_CLIP = 1.0


@dataclass(frozen=True)
class Pair:
    """A preferred and a dispreferred answer to one prompt, as token ids."""

    chosen: TokenRow
    rejected: TokenRow

    @property
    def tokens(self) -> int:
        """Tokens of both rows."""
        return self.chosen.tokens + self.rejected.tokens


@dataclass(frozen=True)
class Pairs:
    """The pairs that fit the model's context, and how many did not."""

    pairs: tuple[Pair, ...]
    skipped_long: int


@dataclass(frozen=True)
class Reference:
    """Log-probabilities (nats, summed) of a pair's answers under the starting model."""

    chosen: float
    rejected: float


def dpo_loss(chosen: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """-log sigmoid(beta * (chosen - rejected)), one value a pair (eq. 7).

    Parameters
    ----------
    chosen, rejected
        [pairs]: log pi(y|x) - log pi_ref(y|x) of each answer, in nats.
    """
    return -functional.logsigmoid(beta * (chosen - rejected))


def read_pairs(path: Path, tokenizer: Tokenizer, max_tokens: int) -> Pairs:
    """Read instruction, chosen, rejected; pairs with a row of more than `max_tokens` are counted apart.

    Raises
    ------
    ValueError
        When columns are missing, or no pair is left.
    """
    frame = pl.scan_parquet(path)
    names = ("instruction", "chosen", "rejected")
    missing = sorted(set(names) - set(frame.collect_schema().names()))
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing")
    found = [
        Pair(_row(tokenizer, instruction, chosen), _row(tokenizer, instruction, rejected))
        for instruction, chosen, rejected in frame.select(names).collect().iter_rows()
    ]
    if not found:
        raise ValueError(
            f"{path} holds no preference pair: sample more solutions a problem (--k), or pair them with a "
            "lower --min-similarity or --min-margin; GSPO can also start from the SFT checkpoint"
        )
    kept = tuple(p for p in found if max(p.chosen.tokens, p.rejected.tokens) <= max_tokens)
    if not kept:
        raise ValueError(f"{path}: none of {len(found)} pairs fits the model's context of {max_tokens} tokens")
    return Pairs(kept, len(found) - len(kept))


def _row(tokenizer: Tokenizer, instruction: str, response: str) -> TokenRow:
    example = encode_chat(tokenizer, instruction, response)
    return TokenRow(example.ids[: example.answer_start], example.ids[example.answer_start :])


def references(model: PreTrainedModel, pairs: Sequence[Pair], micro_tokens: int) -> list[Reference]:
    """Log-probabilities of both answers of each pair under `model` as it is now."""
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    sums = [sum(values) for values in frozen_logprobs(model, rows, micro_tokens)]
    return [Reference(c, r) for c, r in zip(sums[::2], sums[1::2], strict=True)]


def preference_step(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[tuple[Pair, Reference]],
    beta: float,
    micro_pairs: int,
) -> dict[str, float]:
    """One update from the mean loss over the pairs; the model and the optimiser change in place.

    Returns
    -------
    dict
        loss; accuracy (share of pairs ranked as wanted relative to the reference); mean log-ratios of
        chosen and rejected in nats; grad_norm.
    """
    optimizer.zero_grad(set_to_none=True)
    totals = torch.zeros(4, dtype=torch.float64)
    ordered = sorted(batch, key=lambda item: item[0].tokens)
    for start in range(0, len(ordered), micro_pairs):
        part = ordered[start : start + micro_pairs]
        rows = [pair.chosen for pair, _ in part] + [pair.rejected for pair, _ in part]
        logp = completion_logprobs(model, rows)[0].sum(-1)
        known = [reference.chosen for _, reference in part] + [reference.rejected for _, reference in part]
        chosen, rejected = (logp - logp.new_tensor(known)).chunk(2)
        losses = dpo_loss(chosen, rejected, beta)
        (losses.sum() / len(batch)).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            parts = (losses, (chosen > rejected).double(), chosen, rejected)
            totals += torch.stack([t.double().sum().cpu() for t in parts])
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
    optimizer.step()
    names = ("loss", "accuracy", "chosen_log_ratio", "rejected_log_ratio")
    means = dict(zip(names, (totals / len(batch)).tolist(), strict=True))
    return {**means, "grad_norm": float(norm)}


def parser() -> argparse.ArgumentParser:
    """Flags of the stage."""
    p = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.preference", description=__doc__)
    add_common_arguments(p)
    p.set_defaults(steps=40)
    p.add_argument("--data", type=Path, required=True, help="parquet with instruction, chosen, rejected")
    p.add_argument("--checkpoint_path", type=Path, required=True, help="start and reference")
    p.add_argument("--beta", type=float, default=0.2, help="strength of the tie to the reference")
    p.add_argument("--lr", type=float, default=1e-4, help="learning rate of Adam, linear to 0")
    p.add_argument("--batch", type=int, default=16, help="pairs a step")
    p.add_argument("--micro_pairs", type=int, default=8, help="pairs in one backward pass")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or continue an interrupted run in --output."""
    train(parser().parse_args(argv))


def train(args: argparse.Namespace) -> dict[str, Any]:
    """Run the stage with parsed flags; returns what result.json holds."""
    if args.steps < 1 or args.beta <= 0 or args.lr <= 0 or args.batch < 1 or args.micro_pairs < 1:
        raise ValueError("--steps, --batch and --micro_pairs must be at least 1, --beta and --lr above 0")
    start_process(args)
    model = load_model(args.checkpoint_path)
    tokenizer = load_tokenizer(args.checkpoint_path)
    data = read_pairs(args.data, tokenizer, model.config.max_position_embeddings)
    weights = (1.0,) * len(data.pairs)
    plan = [row_indices(weights, step, args.batch, args.seed) for step in range(args.steps)]
    used = sorted({i for batch in plan for i in batch})
    # Before the run restores its weights: the reference is the model as it started.
    known = references(model, [data.pairs[i] for i in used], MICRO_TOKENS[model.device.type])
    items = {i: (data.pairs[i], reference) for i, reference in zip(used, known, strict=True)}
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=BETAS, fused=True)
    config = {
        "data": file_sha256(args.data),
        "checkpoint": file_sha256(args.checkpoint_path),
        **{name: getattr(args, name) for name in ("seed", "steps", "beta", "lr", "batch", "micro_pairs")},
    }
    with Run(
        args,
        stage="preference",
        config=config,
        model=model,
        optimizer=optimizer,
        tokenizer_folder=args.checkpoint_path,
        total_steps=args.steps,
    ) as run:
        for step in run.steps():
            for group in optimizer.param_groups:
                group["lr"] = args.lr * decay_linear(step, args.steps)
            batch = [items[i] for i in plan[step]]
            metrics = preference_step(model, optimizer, batch, args.beta, args.micro_pairs)
            run.record(step, metrics, tokens=sum(pair.tokens for pair, _ in batch))
        last = {name: run.recent(name) for name in ("loss", "accuracy", "chosen_log_ratio", "rejected_log_ratio")}
        return run.finish({**last, "pairs": len(data.pairs), "pairs_skipped_long": data.skipped_long})


if __name__ == "__main__":
    script(main)
