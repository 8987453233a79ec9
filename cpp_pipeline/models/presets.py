"""One dial for scale: the shape of the models and the budget of each stage.

Belongs here: numbers that change with the preset. Needs no torch, so that the asset
definitions can read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A Qwen3 decoder: layers x width, attention heads, feed-forward width, vocabulary, context."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    rope_base: float = 1e5


@dataclass(frozen=True)
class Preset:
    """Shape of the code model and how much each stage does."""

    name: str
    shape: Shape
    seq_tokens: int
    """tokens in a packed training row"""
    max_new_tokens: int
    """longest completion that is sampled"""
    base_steps: int
    base_batch: int
    sft_steps: int
    sft_batch: int
    sft_problems: int
    """problems of train_problems that combined_sft draws on"""
    docstring_weight: float
    """sampling weight of a docstring row beside 1.0 for a solution row"""
    gspo_generations: int
    gspo_groups: int
    gspo_group_size: int
    gspo_lr: float
    gspo_epsilon: float
    gspo_epsilon_high: float
    control_steps: int
    """further SFT steps of the control that is printed beside GSPO"""
    preference_steps: int
    cmake_steps: int
    router_steps: int
    train_problems: int
    """generated problems for training"""
    eval_problems: int
    """generated problems held out"""
    pass_k_problems: int
    k: int
    eval_samples: int
    corpus_tokens: int
    cmake_train: int
    cmake_eval: int
    agent_problems: int
    mined_candidates: int
    """documented functions that are tried as problems, at most"""
    every_canary: bool = True
    """judge attacks and correct programs in all modes, and attacks by exit code, which they must deceive; otherwise
    each in one mode, in turn, and of the programs of known verdict every third one"""


_TINY_SHAPE = Shape(4, 128, 4, 2, 32, 384, 1024, 1024, rope_base=1e4)

TINY = Preset(
    name="tiny",
    shape=_TINY_SHAPE,
    seq_tokens=256,
    max_new_tokens=110,
    base_steps=420,
    base_batch=16,
    sft_steps=80,
    sft_batch=24,
    sft_problems=200,
    docstring_weight=0.05,
    gspo_generations=40,
    gspo_groups=32,
    gspo_group_size=8,
    gspo_lr=1.5e-4,
    gspo_epsilon=3e-4,
    gspo_epsilon_high=4e-4,
    control_steps=120,
    preference_steps=40,
    cmake_steps=70,
    router_steps=200,
    train_problems=2000,
    eval_problems=128,
    pass_k_problems=200,
    k=8,
    eval_samples=8,
    corpus_tokens=1_740_000,
    cmake_train=160,
    cmake_eval=24,
    agent_problems=16,
    mined_candidates=60,
)

SMOKE = Preset(
    name="smoke",
    shape=Shape(2, 64, 2, 1, 32, 128, 1024, 1024, rope_base=1e4),
    seq_tokens=128,
    max_new_tokens=48,
    base_steps=8,
    base_batch=4,
    sft_steps=4,
    sft_batch=8,
    sft_problems=12,
    docstring_weight=0.05,
    gspo_generations=1,
    gspo_groups=4,
    gspo_group_size=4,
    gspo_lr=1.5e-4,
    gspo_epsilon=3e-4,
    gspo_epsilon_high=4e-4,
    control_steps=2,
    preference_steps=2,
    cmake_steps=3,
    router_steps=3,
    train_problems=24,
    eval_problems=8,
    pass_k_problems=8,
    k=4,
    eval_samples=2,
    corpus_tokens=20_000,
    cmake_train=8,
    cmake_eval=4,
    agent_problems=4,
    mined_candidates=6,
    every_canary=False,
)


def _gpu(name: str, shape: Shape, base_steps: int, base_batch: int) -> Preset:
    return Preset(
        name=name,
        shape=shape,
        seq_tokens=2048,
        max_new_tokens=768,
        base_steps=base_steps,
        base_batch=base_batch,
        sft_steps=3000,
        sft_batch=64,
        sft_problems=20_000,
        docstring_weight=1.0,
        gspo_generations=125,
        gspo_groups=64,
        gspo_group_size=8,
        gspo_lr=2e-6,
        gspo_epsilon=3e-4,
        gspo_epsilon_high=4e-4,
        control_steps=500,
        preference_steps=500,
        cmake_steps=10_000,
        router_steps=2000,
        train_problems=20_000,
        eval_problems=512,
        pass_k_problems=5000,
        k=32,
        eval_samples=20,
        corpus_tokens=2_000_000_000,
        cmake_train=8000,
        cmake_eval=200,
        agent_problems=200,
        mined_candidates=100_000,
    )


PRESETS: Mapping[str, Preset] = {
    p.name: p
    for p in (
        SMOKE,
        TINY,
        _gpu("d4", Shape(4, 256, 4, 2, 64, 704, 8192, 2048), 2000, 32),
        _gpu("d8", Shape(8, 768, 6, 3, 128, 2304, 32_768, 2048), 10_000, 64),
        _gpu("d16", Shape(16, 1280, 10, 5, 128, 3840, 32_768, 2048), 50_000, 256),
    )
}


def preset(name: str) -> Preset:
    """Look a preset up by name; the error lists the names."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
