"""Make, save and load decoder models as stock Hugging Face folders.

Belongs here: shape -> Qwen3 configuration, initial weights, reading and writing folders.
Does not belong here: optimizers (`optim`), generation (`sampling`), training state (`training`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging as transformers_logging

from cpp_pipeline.models.presets import Shape
from cpp_pipeline.settings import Settings

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
# Scripts print their own progress; the library's bars would fill the orchestrator's log.
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

NO_GPU = 42
"""Exit code of a command that was given GPUs and sees none; Jobs do not try it again."""
HEAD_STD = 0.001
GATE_UP_SCALE = 0.8
"""gate and up start below the other matrices, because SwiGLU multiplies two of their outputs; the loss
after 110 steps of the tiny preset is the same for 0.4, 0.8 and 1.0"""

_VECTOR_MATH = (
    *(torch.acos, torch.asin, torch.atan, torch.cos, torch.sin, torch.tan, torch.tanh, torch.sqrt, torch.trunc),
    *(torch.exp, torch.expm1, torch.log, torch.log10, torch.log1p, torch.log2, torch.lgamma),
    *(torch.erf, torch.erfc, torch.erfinv),
)


def _resolve_vector_math() -> None:
    """Call each of MKL's vector functions once, in one thread.

    MKL chooses the kernel of a function at its first call. When several threads make that call at once, one of them
    may get a kernel of low accuracy for its share (pytorch issue 188792; oneMKL 2024.2, which torch's wheels hold):
    cosines of positions were off by 1.5e-4, and the weights of two equal trainings differed.
    """
    for dtype in (torch.float32, torch.float64):
        for function in _VECTOR_MATH:
            function(torch.full((1,), 0.5, dtype=dtype))


_resolve_vector_math()  # before there is a model, and before this process is forked


def default_device() -> torch.device:
    """The accelerator when there is one, otherwise the CPU.

    Raises
    ------
    SystemExit
        `NO_GPU`, after a line that says why: the process was given GPUs, and would train on the CPU for weeks.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = Settings.from_env().gpus
    if given:
        print(
            f"error: {Settings.variable('gpus')}={given}, and torch {torch.__version__} sees no GPU: give the image "
            "a torch with CUDA, the node a driver that is new enough for it, and LD_LIBRARY_PATH its folder",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(NO_GPU)
    return torch.device("cpu")


def compute_dtype(device: torch.device) -> torch.dtype:
    """Type of matrix products: bfloat16 on CUDA (weights stay fp32, through autocast), fp32 elsewhere."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Context in which a training forward runs; does nothing on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def special_ids(tokenizer_folder: Path) -> tuple[int, int]:
    """(eos id, pad id) that a tokenizer folder declares.

    Raises
    ------
    ValueError
        When tokenizer_config.json names no eos or pad token, or tokenizer.json lacks it.
    """
    config = json.loads((tokenizer_folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    ids: list[int] = []
    for role in ("eos_token", "pad_token"):
        declared = config.get(role)
        name = declared["content"] if isinstance(declared, dict) else declared
        found = tokenizer.token_to_id(name) if name else None
        if found is None:
            raise ValueError(f"{tokenizer_folder}: no {role} ({name!r}); train the tokenizer again")
        ids.append(found)
    return ids[0], ids[1]


def qwen3_config(shape: Shape, tokenizer_folder: Path) -> Qwen3Config:
    """Configuration of an untied Qwen3 decoder; rows above the tokenizer's vocabulary stay unused.

    Raises
    ------
    ValueError
        When the tokenizer has more tokens than `shape.vocab`.
    """
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    if tokenizer.get_vocab_size() > shape.vocab:
        raise ValueError(
            f"{tokenizer_folder} has {tokenizer.get_vocab_size()} tokens, the preset's vocabulary is "
            f"{shape.vocab}: train the tokenizer with the same preset"
        )
    eos, pad = special_ids(tokenizer_folder)
    return Qwen3Config(
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_base},
        tie_word_embeddings=False,
        eos_token_id=eos,
        pad_token_id=pad,
        bos_token_id=None,
        dtype=torch.float32,
    )


@torch.no_grad()
def init_weights(model: Qwen3ForCausalLM, seed: int) -> None:
    """Overwrite all weights with nanochat's initialisation (github.com/karpathy/nanochat, gpt.py).

    Embedding normal std 1, head normal std 0.001, o_proj and down_proj zero (each block starts as the
    identity), other matrices uniform with std 1/sqrt(width), gate and up times `GATE_UP_SCALE`, norms one.
    """
    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    bound = (3.0 / width) ** 0.5  # uniform in +-bound has std bound / sqrt(3)
    for name, parameter in model.named_parameters():
        fresh = torch.empty(parameter.shape)
        if name.endswith("embed_tokens.weight"):
            fresh.normal_(0.0, 1.0, generator=generator)
        elif name.endswith("lm_head.weight"):
            fresh.normal_(0.0, HEAD_STD, generator=generator)
        elif parameter.ndim == 1:
            fresh.fill_(1.0)
        elif "o_proj" in name or "down_proj" in name:
            fresh.zero_()
        else:
            scale = GATE_UP_SCALE if "gate_proj" in name or "up_proj" in name else 1.0
            fresh.uniform_(-bound * scale, bound * scale, generator=generator)
        parameter.copy_(fresh)


def new_model(shape: Shape, tokenizer_folder: Path, seed: int, device: torch.device | None = None) -> Qwen3ForCausalLM:
    """An untrained model; equal arguments give bitwise equal weights."""
    config = qwen3_config(shape, Path(tokenizer_folder))
    config._attn_implementation = "sdpa"
    model = Qwen3ForCausalLM(config)
    init_weights(model, seed)
    model.generation_config = _generation_config(model)
    nn.Module.to(model, device or default_device())
    return model


def load_model(folder: Path, device: torch.device | None = None) -> PreTrainedModel:
    """Load a Hugging Face causal language model from a local folder, in evaluation mode.

    Weights are fp32 on every device; code inside the folder is never run, nothing is downloaded.

    Raises
    ------
    FileNotFoundError
        When the folder holds no config.json.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder}: config.json is missing (is the training finished?)")
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    nn.Module.to(model, device or default_device())
    nn.Module.eval(model)
    return model


def save_model(model: PreTrainedModel, tokenizer_folder: Path, folder: Path) -> None:
    """Write weights, configuration, generation settings and the tokenizer's files to `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = _generation_config(model)
    model.save_pretrained(str(folder))
    for name in TOKENIZER_FILES:
        source = Path(tokenizer_folder) / name
        if source.is_file():
            shutil.copyfile(source, folder / name)


def _generation_config(model: PreTrainedModel) -> GenerationConfig:
    config = model.config
    return GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, do_sample=True, temperature=1.0
    )


def weights_sha256(model: nn.Module) -> str:
    """Hash of all weights: names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    state: dict[str, Any] = model.state_dict()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
