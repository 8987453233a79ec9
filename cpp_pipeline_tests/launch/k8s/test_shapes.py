"""Shapes are read from a setting, and what cannot be read names it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.launch.k8s.shapes import SETTING, SHAPES, Shape, shape, shape_for


def test_names_and_changes() -> None:
    assert shape("l4") == SHAPES["l4"]
    assert shape("l4 + spot").spot and not shape("l4").spot
    found = shape("cpu+cpu=8+memory=48Gi+nodes=2")
    assert (found.cpu, found.memory, found.nodes, found.gpus) == ("8", "48Gi", 2, 0)
    assert shape("cpu+gpus=2+accelerator=nvidia-l4").accelerator == "nvidia-l4"


@pytest.mark.parametrize(
    "text",
    ["", "l5", "l4+spott", "l4+nodes=0", "l4+memory=lots", "cpu+gpus=1", "l4+spot=perhaps", "l4+accelerator=A_B"],
)
def test_what_does_not_fit_names_the_setting(text: str) -> None:
    with pytest.raises(ValueError, match=SETTING):
        shape(text)


def test_assets_may_have_shapes_of_their_own() -> None:
    setting = "l4+spot; base_checkpoint: h100; *_eval: cpu"
    assert shape_for(setting, "sft_checkpoint") == shape("l4+spot")
    assert shape_for(setting, "base_checkpoint") == SHAPES["h100"]
    assert shape_for(setting, "sft_eval") == SHAPES["cpu"]
    with pytest.raises(ValueError, match=f"{SETTING}.*no shape for sft_checkpoint"):
        shape_for("*_eval: cpu", "sft_checkpoint")


@given(
    st.sampled_from(list(SHAPES)),
    st.integers(1, 64),
    st.booleans(),
    st.from_regex(r"[1-9][0-9]{0,3}(Mi|Gi)", fullmatch=True),
)
def test_every_change_is_kept(name: str, nodes: int, spot: bool, memory: str) -> None:
    text = f"{name}+nodes={nodes}+memory={memory}" + ("+spot" if spot else "")
    found = shape(text)
    assert isinstance(found, Shape)
    assert (found.nodes, found.spot, found.memory, found.cpu) == (nodes, spot, memory, SHAPES[name].cpu)
