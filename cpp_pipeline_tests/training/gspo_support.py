"""A very small chat model that answers, its prompt table, and rows for tests of GSPO and preference."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path

import torch

from cpp_pipeline.corpus.tokenizer import load_tokenizer, train_tokenizer
from cpp_pipeline.models.build import load_model, new_model, save_model
from cpp_pipeline.models.optim import make_optimizers
from cpp_pipeline.models.presets import Shape
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.training.data import encode_chat
from cpp_pipeline.training.gspo_logprobs import TokenRow, completion_logprobs

SHAPE = Shape(2, 64, 2, 1, 32, 128, 512, 128, rope_base=1e4)
SHIFTS = range(6)
ANSWERS = [f"int solve(int x) {{ return x + {k}; }}\n" for k in range(3)]


def instruction(shift: int) -> str:
    """The request for one problem."""
    return f"Write `int solve(int x)`: add {shift} to x."


def token_row(tokenizer, request: str, answer: str) -> TokenRow:
    """A request and its answer as ids."""
    example = encode_chat(tokenizer, request, answer)
    return TokenRow(example.ids[: example.answer_start], example.ids[example.answer_start :])


@functools.cache
@torch.enable_grad()
def checkpoint() -> Path:
    """Folder of a model that gives one of `ANSWERS`, whatever it is asked."""
    root = Path(tempfile.mkdtemp(prefix="gspo-test-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    texts = [instruction(s) for s in SHIFTS] + ANSWERS
    train_tokenizer(iter(texts * 4), SHAPE.vocab, root / "tokenizer")
    tokenizer = load_tokenizer(root / "tokenizer")
    rows = [token_row(tokenizer, instruction(s), a) for s in SHIFTS for a in ANSWERS]
    model = new_model(SHAPE, root / "tokenizer", seed=0)
    optimizer = make_optimizers(model)
    for step in range(40):
        optimizer.zero_grad()
        logp, mask = completion_logprobs(model, rows)
        (-logp.sum() / mask.sum()).backward()
        optimizer.lr_multiplier = 1 - step / 40
        optimizer.step()
    save_model(model, root / "tokenizer", root / "model")
    return root / "model"


def fresh():
    """The checkpoint loaded anew, and its tokenizer."""
    torch.manual_seed(0)
    return load_model(checkpoint()), load_tokenizer(checkpoint())


def prompt_row(shift: int) -> dict:
    """One row of gspo_prompts: add `shift`."""
    return {
        "problem_id": f"add{shift}",
        "instruction": instruction(shift),
        "signature": "int solve(int x)",
        "entry_point": "solve",
        "preamble": "",
        "tests": json.dumps([{"args": [v], "expected": v + shift} for v in (0, 5)]),
        "n_tests": 2,
        "reference_solutions": [],
        "negative_samples": [],
        "pass_rate": None,
    }


def write_prompts(path: Path, shifts=SHIFTS) -> Path:
    """A prompt table as parquet."""
    TABLES["gspo_prompts"].frame([prompt_row(s) for s in shifts]).sink_parquet(path)
    return path
