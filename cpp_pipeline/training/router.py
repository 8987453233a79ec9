"""Train the router: FunctionGemma's format on a small Gemma3, from scratch or from given weights.

    python -m cpp_pipeline.training.router --data router_sft.parquet --output DIR [--preset tiny]
    python -m cpp_pipeline.training.router --data ... --output DIR --model functiongemma-270m-it/

Belongs here: the model, the rows as ids, the loss over completions and its loop.
Does not belong here: the rows themselves and decoding (`agent`), checkpoints and progress (`common`).

The declarations are the same in every prompt, so a step computes them once: the common prefix runs as one
row, its keys and values are repeated for the batch, and gradients flow back through the repetition. The loss
equals that of whole rows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, Gemma3TextConfig, PreTrainedModel
from transformers.models.gemma3 import Gemma3ForCausalLM

from cpp_pipeline.corpus.tokenizer import (
    encode_with_specials,
    load_tokenizer,
    special_id,
    train_tokenizer,
)
from cpp_pipeline.models.build import autocast, default_device, load_model
from cpp_pipeline.models.optim import Muon, Optimizers
from cpp_pipeline.models.presets import preset
from cpp_pipeline.training.common import Run, add_common_arguments, decay_half, decay_linear
from cpp_pipeline.training.stage import script, start_process
from cpp_pipeline.training.state import file_sha256

IGNORE = -100
BOS, END_TURN, PAD = "<bos>", "<end_of_turn>", "<pad>"
RESPONSE = "<start_function_response>"
"""FunctionGemma stops here and waits for the tool's result."""
MUON_LR, ADAM_LR, FINETUNE_LR = 0.02, 0.01, 1e-5
"""from scratch: matrices, the rest; FINETUNE_LR is that of Google's FunctionGemma notebooks"""
CLIP_NORM = 1.0
PREFIX_EVERY = 10
"""The tokenizer sees the shared start of the prompts in one row of so many."""

S = TypeVar("S", str, list[int])


@dataclass(frozen=True)
class RouterShape:
    """A Gemma3 text decoder that is trained from scratch."""

    layers: int = 3
    width: int = 128
    heads: int = 4
    kv_heads: int = 1
    head_dim: int = 32
    ffn: int = 384
    vocab: int = 1024
    context: int = 1024


SHAPES: Mapping[str, RouterShape] = {
    "smoke": RouterShape(layers=2, width=64, heads=2, ffn=128),
    "tiny": RouterShape(),
}
LARGE_SHAPE = RouterShape(layers=6, width=384, heads=6, kv_heads=2, head_dim=64, ffn=1024, vocab=4096)
"""Presets that are not in SHAPES; with a GPU at hand, --model is the better choice."""


@dataclass(frozen=True)
class Rows:
    """Training rows as ids: a prefix that all share, and what follows it in each.

    `starts[i]` is the index in `tails[i]` of the first id of the response.
    """

    prefix: list[int]
    tails: list[list[int]]
    starts: list[int]


def new_router(shape: RouterShape, pad: int, eos: int, bos: int, seed: int) -> Gemma3ForCausalLM:
    """An untrained Gemma3 text model; equal arguments give equal weights."""
    config = Gemma3TextConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        query_pre_attn_scalar=shape.head_dim,
        max_position_embeddings=shape.context,
        sliding_window=shape.context,
        layer_types=["full_attention"] * shape.layers,
        pad_token_id=pad,
        eos_token_id=eos,
        bos_token_id=bos,
        dtype=torch.float32,
    )
    # The default initialisation draws from torch's global generator: seeded here, restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Gemma3ForCausalLM(config)


def share_prefix(prompts: Sequence[list[int]], responses: Sequence[list[int]]) -> Rows:
    """Split off the longest common start of all prompts, leaving each at least one id of its own."""
    prefix = _common_start([p[:-1] for p in prompts])
    tails = [p[len(prefix) :] + r for p, r in zip(prompts, responses, strict=True)]
    return Rows(prefix, tails, [len(p) - len(prefix) for p in prompts])


def _common_start(sequences: Sequence[S]) -> S:
    """Longest start that all sequences share; that of the smallest and the greatest is that of all."""
    low, high = min(sequences), max(sequences)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:length]


def batch_indices(n_rows: int, batch: int, step: int, seed: int) -> np.ndarray:
    """Row numbers [batch] of a step: a pure function of its arguments, an epoch sees each row once."""
    first = step * batch
    order = [
        np.random.Generator(np.random.PCG64([seed, epoch])).permutation(n_rows)
        for epoch in range(first // n_rows, (first + batch - 1) // n_rows + 1)
    ]
    start = first % n_rows
    return np.concatenate(order)[start : start + batch]


def completion_loss(model: PreTrainedModel, rows: Rows, indices: Sequence[int], pad: int) -> Tensor:
    """Mean cross entropy (nats) over the ids of the responses of the given rows."""
    device = model.device
    tails = [rows.tails[i] for i in indices]
    longest = max(map(len, tails))
    ids = torch.tensor([t + [pad] * (longest - len(t)) for t in tails], device=device)
    labels = torch.full_like(ids, IGNORE)
    for row, i in enumerate(indices):
        labels[row, rows.starts[i] : len(rows.tails[i])] = ids[row, rows.starts[i] : len(rows.tails[i])]
    decoder = model.get_decoder()  # type: ignore[no-untyped-call]
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    cache = None
    if rows.prefix:
        cache = DynamicCache(config=model.config)
        decoder(torch.tensor([rows.prefix], device=device), past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(tails))
    # Pads stand behind every real id, so the causal mask alone keeps them out.
    hidden = decoder(ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
    wanted = labels[:, 1:] != IGNORE
    logits = head(hidden[:, :-1][wanted])
    return functional.cross_entropy(logits.float(), labels[:, 1:][wanted])


def router_optimizers(model: PreTrainedModel, from_scratch: bool, lr_scale: float = 1.0) -> Optimizers:
    """From scratch: Muon for the matrices in the blocks, Adam for the tied embedding and the norms.

    Given weights: Adam for everything, at the rate of Google's notebooks.
    """
    blocks = [p for n, p in model.named_parameters() if from_scratch and p.ndim == 2 and ".layers." in n]
    chosen = {id(p) for p in blocks}
    rest: list[nn.Parameter] = [p for p in model.parameters() if id(p) not in chosen]
    rate = (ADAM_LR if from_scratch else FINETUNE_LR) * lr_scale
    adam = torch.optim.Adam(rest, lr=rate, betas=(0.9, 0.95), fused=True)
    return Optimizers(Muon(blocks, MUON_LR * lr_scale), adam)


def read_rows(data: Path) -> tuple[list[str], list[str]]:
    """Prompts and responses of the train rows.

    Raises
    ------
    ValueError
        When the table has no train row.
    """
    frame = pl.scan_parquet(data).filter(pl.col("split") == "train").select("prompt", "response").collect()
    if frame.is_empty():
        raise ValueError(f"{data}: no row with split 'train'; materialize `router_sft` again")
    return frame["prompt"].to_list(), frame["response"].to_list()


def tokenizer_texts(prompts: Sequence[str], responses: Sequence[str]) -> Iterator[str]:
    """What the tokenizer is trained on: the start that all prompts share once in a while, the rest of each row.

    The shared start is nine tenths of every row; counted in full it would cost most and teach nothing new.
    """
    shared = len(_common_start(prompts))
    for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        yield (prompt if i % PREFIX_EVERY == 0 else prompt[shared:]) + response


def encode_rows(tokenizer: Tokenizer, prompts: Sequence[str], responses: Sequence[str]) -> Rows:
    """Texts as ids, with their common prefix split off."""
    return share_prefix(
        [encode_with_specials(tokenizer, p) for p in prompts],
        [encode_with_specials(tokenizer, r) for r in responses],
    )


def train(args: argparse.Namespace) -> None:
    """One run: rows, tokenizer, model, loop, folder."""
    start_process(args)
    chosen = preset(args.preset)
    prompts, responses = read_rows(args.data)
    with tempfile.TemporaryDirectory(prefix="router-tokenizer-") as scratch:
        folder = args.model or args.tokenizer or Path(scratch)
        shape = SHAPES.get(chosen.name, LARGE_SHAPE)
        if folder == Path(scratch):
            train_tokenizer(tokenizer_texts(prompts, responses), shape.vocab, folder)
        tokenizer = load_tokenizer(folder)
        pad = special_id(tokenizer, PAD)
        if args.model:
            model = load_model(args.model)
        else:
            shape = RouterShape(**{**asdict(shape), "vocab": max(shape.vocab, tokenizer.get_vocab_size())})
            model = new_router(shape, pad, special_id(tokenizer, END_TURN), special_id(tokenizer, BOS), args.seed)
            model.to(default_device())  # type: ignore[arg-type]
        model.config.eos_token_id = [special_id(tokenizer, END_TURN), special_id(tokenizer, RESPONSE)]
        rows = encode_rows(tokenizer, prompts, responses)
        steps = args.steps or chosen.router_steps
        config = {
            "preset": chosen.name,
            "shape": None if args.model else asdict(shape),
            "model": file_sha256(args.model) if args.model else None,
            "data": file_sha256(args.data),
            "tokenizer": file_sha256(folder / "tokenizer.json"),
            "steps": steps,
            "batch": args.batch,
            "lr_scale": args.lr_scale,
            "seed": args.seed,
        }
        optimizer = router_optimizers(model, from_scratch=not args.model, lr_scale=args.lr_scale)
        with Run(
            args,
            stage="router",
            config=config,
            model=model,
            optimizer=optimizer,
            tokenizer_folder=folder,
            total_steps=steps,
        ) as run:
            _loop(run, model, optimizer, rows, pad, args=args)


def _loop(
    run: Run, model: PreTrainedModel, optimizer: Optimizers, rows: Rows, pad: int, *, args: argparse.Namespace
) -> None:
    decay = decay_linear if args.model else decay_half
    model.train()
    for step in run.steps():
        indices = batch_indices(len(rows.tails), args.batch, step, args.seed).tolist()
        optimizer.lr_multiplier = decay(step, run.total_steps)
        with autocast(model.device):
            value = completion_loss(model, rows, indices, pad)
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        tokens = len(rows.prefix) + sum(len(rows.tails[i]) for i in indices)
        run.record(step, {"loss": float(value.detach()), "grad_norm": float(norm)}, tokens=tokens)
    run.finish({"loss": run.recent("loss"), "train_rows": len(rows.tails), "prefix_tokens": len(rows.prefix)})


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.training.router", description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="router_sft.parquet")
    parser.add_argument("--model", type=Path, default=None, help="folder of weights to fine-tune")
    parser.add_argument("--tokenizer", type=Path, default=None, help="default: one is trained on the prompts")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--batch", type=int, default=24, help="rows a step")
    parser.add_argument("--lr_scale", type=float, default=1.0, help="multiplies all learning rates")
    train(parser.parse_args(argv))


if __name__ == "__main__":
    script(main)
