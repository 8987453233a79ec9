"""The same training pass by TRL's own trainer: a worker of `model_gspo`, run by an environment that holds TRL.

Completions and rewards come through the doors that TRL has for them (`rollout_func`, a reward function). Tensors,
advantages, old log-probabilities, loss and clipping are TRL's; batches are cut in the order of ours instead of at
random, and the loop around the steps (data loader, callbacks, logging) is left out, in TRL's favour.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

_held: dict[str, Any] = {}


class _Trainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer on mini-batches that are given."""

    def _prepare_inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch


def load(folder: str, settings: dict[str, Any], order: list[list[int]]) -> None:
    """Read FOLDER/model and FOLDER/rollouts.json; `order` are the rollouts of each mini-batch."""
    given = json.loads((Path(folder) / "rollouts.json").read_text())
    size = settings["group_size"]
    rollouts = [given[n] for batch in order for n in batch]
    rewards = {tuple(r["completion"]): r["reward"] for r in rollouts}

    def roll_out(prompts: list[str], trainer: Any) -> dict[str, Any]:
        chosen = [rollouts[int(number)] for number in prompts]
        ids = {"prompt_ids": [r["prompt"] for r in chosen], "completion_ids": [r["completion"] for r in chosen]}
        return {**ids, "logprobs": None}

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [rewards[tuple(ids)] for ids in completion_ids]

    trainer = _Trainer(
        model=AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32, attn_implementation="sdpa"),
        reward_funcs=reward,
        args=_config(f"{folder}/trl", settings, len(order[0]), size),
        train_dataset=Dataset.from_dict({"prompt": [str(n) for n in range(len(rollouts))]}),
        processing_class=AutoTokenizer.from_pretrained(f"{folder}/model", padding_side="left"),
        rollout_func=roll_out,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # as the loop around the steps sets it
    weights = copy.deepcopy(trainer.model.state_dict())
    inputs = [{"prompt": str(n)} for n in range(len(rollouts))]
    _held.update(trainer=trainer, weights=weights, inputs=inputs, steps=len(order))
    _held.update(shifts=[r["shift"] for r in rollouts[: len(order[0])]])
    _held.update(batches=_batches())


def training_pass() -> list[float]:
    """The optimizer steps alone; the loss of each mini-batch."""
    return _steps(_held["batches"])


def whole_pass() -> list[float]:
    """With what TRL does between the end of sampling and the first step: tensors, old log-probabilities, advantages."""
    _reset()
    return _steps(_batches())


def gradient(file: str) -> float:
    """Loss of the first mini-batch with old log-probabilities shifted, its gradient in FILE."""
    _reset()
    trainer, batch = _held["trainer"], dict(_held["batches"][0])
    old = batch["old_per_token_logps"].clone()
    for row, shift in zip(old, _held["shifts"], strict=True):
        row[: len(shift)] += torch.tensor(shift)
    trainer.model.zero_grad()
    loss = trainer.training_step(trainer.model, {**batch, "old_per_token_logps": old}, None)
    parts = [p.grad.reshape(-1) for _, p in sorted(trainer.model.named_parameters()) if p.grad is not None]
    np.save(file, torch.cat(parts).numpy())
    return float(loss)


def _config(folder: str, settings: dict[str, Any], rows: int, group_size: int) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder,
        importance_sampling_level="sequence",
        loss_type="grpo",
        beta=0.0,
        epsilon=settings["epsilon"],
        epsilon_high=settings["epsilon_high"],
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=1,
        steps_per_generation=settings["steps"],
        num_generations=group_size,
        max_completion_length=settings["max_new_tokens"],
        learning_rate=settings["lr"],
        lr_scheduler_type="constant",
        adam_beta1=0.9,
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
    )


def _batches() -> list[dict[str, Any]]:
    trainer = _held["trainer"]
    found: list[dict[str, Any]] = split_tensor_dict(
        trainer._generate_and_score_completions(_held["inputs"]), _held["steps"]
    )
    return found


def _reset() -> None:
    _held["trainer"].model.load_state_dict(_held["weights"])


def _steps(batches: list[dict[str, Any]]) -> list[float]:
    _reset()
    trainer = _held["trainer"]
    trainer.optimizer = None
    optimizer = trainer.create_optimizer()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        losses.append(float(trainer.training_step(trainer.model, batch, None)))
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
        optimizer.step()
    return losses
