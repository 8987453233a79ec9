"""Optimizers: Muon for the matrices inside the blocks, Adam in groups for the rest.

Belongs here: update rules and default learning rates. Does not belong here: schedules (`training`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MUON_LR = 0.02
EMBEDDING_LR = 0.3
HEAD_LR = 0.01
NORM_LR = 0.01
REFERENCE_WIDTH = 128
"""width at which the embedding and head rates were measured; wider models take (width / 128) ** -0.5,
which at 768 gives 0.12 and 0.0041"""
BETAS = (0.8, 0.95)
ADAM_EPS = 1e-10
MOMENTUM = 0.95
NEWTON_SCHULZ_STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""quintic polynomial of Muon (Keller Jordan, kellerjordan.github.io/posts/muon)"""
NORM_FLOOR = 1e-7


def orthogonalize(matrices: Tensor, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Approximate U V^T of each matrix's singular value decomposition U S V^T.

    Parameters
    ----------
    matrices
        [count, rows, columns]; one batched product serves all. Iterated in bfloat16 on CUDA and in the
        given type elsewhere (CPUs without bfloat16 units are slower with it).

    Returns
    -------
    Tensor
        Same shape and type; singular values between about 0.7 and 1.2 (they need not be closer to 1).
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=NORM_FLOOR)
    for _ in range(steps):
        gram = x @ x.mT
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, update, x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon:
    """Momentum orthogonalised by Newton-Schulz, with matrices of one shape updated together.

    The momentum buffers are kept stacked, [count, rows, columns] per shape. A parameter without a
    gradient counts as having gradient zero.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = MOMENTUM) -> None:
        self.lr = lr
        self.momentum = momentum
        shapes: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.ndim != 2:
                raise ValueError(f"Muon updates matrices, not shape {tuple(parameter.shape)}")
            shapes.setdefault(tuple(parameter.shape), []).append(parameter)
        self.stacks = list(shapes.values())
        self.buffers = [torch.zeros(len(s), *s[0].shape, device=s[0].device) for s in self.stacks]

    @torch.no_grad()
    def step(self, lr_multiplier: float = 1.0) -> None:
        """One update from the gradients; parameters and buffers change in place."""
        for parameters, buffer in zip(self.stacks, self.buffers, strict=True):
            gradient = torch.stack([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
            gradient = gradient.to(buffer.dtype)
            buffer.lerp_(gradient, 1.0 - self.momentum)
            update = orthogonalize(gradient.lerp(buffer, self.momentum))  # Nesterov
            rows, columns = parameters[0].shape
            rate = self.lr * lr_multiplier * max(1.0, rows / columns) ** 0.5
            for parameter, change in zip(parameters, update, strict=True):
                parameter.add_(change.to(parameter.dtype), alpha=-rate)


class Optimizers:
    """Muon and Adam behind one interface.

    `lr_multiplier` scales every learning rate of the following steps; schedules set it.
    """

    def __init__(self, muon: Muon, adam: torch.optim.Adam) -> None:
        self.muon = muon
        self.adam = adam
        self.lr_multiplier = 1.0
        self._adam_rates = [float(group["lr"]) for group in adam.param_groups]

    def step(self) -> None:
        """Update all parameters from their gradients."""
        for group, rate in zip(self.adam.param_groups, self._adam_rates, strict=True):
            group["lr"] = rate * self.lr_multiplier
        self.muon.step(self.lr_multiplier)
        self.adam.step()

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for stack in self.muon.stacks:
            for parameter in stack:
                parameter.grad = None
        self.adam.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Momentum buffers and Adam moments; learning rates are not part of it."""
        return {"muon": [b.clone() for b in self.muon.buffers], "adam": self.adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises
        ------
        ValueError
            When the state is that of a model with other matrices.
        """
        saved = state["muon"]
        if [b.shape for b in saved] != [b.shape for b in self.muon.buffers]:
            raise ValueError("the optimizer state belongs to a model of another shape")
        for buffer, value in zip(self.muon.buffers, saved, strict=True):
            buffer.copy_(value)
        self.adam.load_state_dict(state["adam"])


def make_optimizers(model: nn.Module, scale: float = 1.0) -> Optimizers:
    """Muon for every matrix inside the blocks, Adam groups for embedding, head and the rest.

    Parameters
    ----------
    model
        A Hugging Face causal language model (Qwen3 or Llama family).
    scale
        Multiplies all learning rates; fine-tuning uses 0.3.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    embedding = model.get_input_embeddings()  # type: ignore[operator]
    by_width = (model.config.hidden_size / REFERENCE_WIDTH) ** -0.5  # type: ignore[union-attr, operator]
    groups: dict[str, list[nn.Parameter]] = {"embedding": [], "head": [], "norm": []}
    matrices: list[nn.Parameter] = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if parameter is embedding.weight:  # a tied head is the same parameter and counts as embedding
            groups["embedding"].append(parameter)
        elif parameter is head.weight:
            groups["head"].append(parameter)
        elif parameter.ndim == 2:
            matrices.append(parameter)
        else:
            groups["norm"].append(parameter)
    rates = {"embedding": EMBEDDING_LR * by_width, "head": HEAD_LR * by_width, "norm": NORM_LR}
    adam = torch.optim.Adam(
        [{"params": params, "lr": rates[name] * scale} for name, params in groups.items() if params],
        betas=BETAS,
        eps=ADAM_EPS,
        fused=True,
    )
    return Optimizers(Muon(matrices, MUON_LR * scale), adam)
