"""Muon against torch's own, the groups, and the round trip of the state."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cpp_pipeline.models.build import new_model
from cpp_pipeline.models.optim import Muon, make_optimizers, orthogonalize
from cpp_pipeline_tests.models.material import SMALL, shape


def _matrices(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(32, 32), (48, 32), (32, 48), (32, 32), (48, 32)]
    return [nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


def test_muon_equals_torchs_within_its_bfloat16() -> None:
    ours, theirs = _matrices(0), _matrices(0)
    muon = Muon(ours, lr=0.02)
    reference = torch.optim.Muon(theirs, lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.0)
    start = [p.detach().clone() for p in ours]
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        muon.step()
        reference.step()
    for a, b, s in zip(ours, theirs, start, strict=True):
        moved = (b.detach() - s).norm()
        assert float((a - b).detach().norm() / moved) < 0.02  # bfloat16 has 8 bits


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_singular_values_become_near_one(rows: int, columns: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator, dtype=torch.float64))
    rank = min(rows, columns)
    values = torch.linspace(0.3, 1.0, rank, dtype=torch.float64) * scale
    matrix = (left[:, :rank] * values) @ right[:rank]
    found = torch.linalg.svdvals(orthogonalize(matrix[None])[0])
    assert float(found.min()) > 0.6 and float(found.max()) < 1.3


def test_every_parameter_is_in_one_group(tokenizer_folder: Path) -> None:
    model = new_model(SMALL, tokenizer_folder, 0)
    optimizers = make_optimizers(model)
    grouped = [p for stack in optimizers.muon.stacks for p in stack]
    grouped += [p for group in optimizers.adam.param_groups for p in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))
    assert id(model.lm_head.weight) not in {id(p) for stack in optimizers.muon.stacks for p in stack}


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_scale_and_multiplier_act_on_every_rate(tokenizer_folder: Path, scale: float) -> None:
    def moved(lr_multiplier: float, scale: float) -> dict[str, torch.Tensor]:
        model = new_model(SMALL, tokenizer_folder, 0)
        optimizers = make_optimizers(model, scale)
        generator = torch.Generator().manual_seed(2)
        before = copy.deepcopy(model.state_dict())
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizers.lr_multiplier = lr_multiplier
        optimizers.step()
        return {k: v - before[k] for k, v in model.state_dict().items()}

    full, less = moved(1.0, 1.0), moved(0.5, scale)
    for name, change in full.items():
        assert torch.allclose(less[name], change * 0.5 * scale, rtol=1e-3, atol=1e-6), name


def test_state_round_trip_continues_bitwise(tokenizer_folder: Path, tmp_path: Path) -> None:
    def gradients(model: nn.Module, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator)

    model = new_model(SMALL, tokenizer_folder, 0)
    optimizers = make_optimizers(model)
    gradients(model, 1)
    optimizers.step()
    torch.save({"m": model.state_dict(), "o": optimizers.state_dict()}, tmp_path / "s.pt")
    twin = new_model(SMALL, tokenizer_folder, 9)
    twin_optimizers = make_optimizers(twin)
    saved = torch.load(tmp_path / "s.pt", weights_only=True)
    twin.load_state_dict(saved["m"])
    twin_optimizers.load_state_dict(saved["o"])
    for m, o in ((model, optimizers), (twin, twin_optimizers)):
        gradients(m, 2)
        o.lr_multiplier = 0.7
        o.step()
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_state_of_another_shape_is_refused(tokenizer_folder: Path) -> None:
    other = make_optimizers(new_model(shape(width=96), tokenizer_folder, 0)).state_dict()
    with pytest.raises(ValueError, match="another shape"):
        make_optimizers(new_model(SMALL, tokenizer_folder, 0)).load_state_dict(other)
