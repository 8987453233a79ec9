"""Weights, configuration and folders of new models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cpp_pipeline.corpus.formats import EOT, PAD
from cpp_pipeline.corpus.tokenizer import load_tokenizer, special_id
from cpp_pipeline.models.build import load_model, new_model, save_model, weights_sha256
from cpp_pipeline_tests.models.material import SMALL, shape


def test_initial_weights_follow_the_recipe(tokenizer_folder: Path) -> None:
    wide = shape(width=256, vocab=2048)
    weights = dict(new_model(wide, tokenizer_folder, seed=0).named_parameters())
    std = {name: float(p.detach().std()) for name, p in weights.items() if p.ndim == 2}
    assert std["model.embed_tokens.weight"] == pytest.approx(1.0, rel=0.02)
    assert std["lm_head.weight"] == pytest.approx(0.001, rel=0.02)
    assert std["model.layers.0.self_attn.q_proj.weight"] == pytest.approx(256**-0.5, rel=0.03)
    assert std["model.layers.1.mlp.up_proj.weight"] < std["model.layers.1.self_attn.q_proj.weight"]
    for name, parameter in weights.items():
        if "o_proj" in name or "down_proj" in name:
            assert not parameter.any(), name
        if "norm" in name:
            assert bool((parameter == 1).all()), name


def test_seed_determines_weights(tokenizer_folder: Path) -> None:
    first, again, other = (weights_sha256(new_model(SMALL, tokenizer_folder, s)) for s in (1, 1, 2))
    assert first == again != other


def test_configuration_is_untied_with_the_tokenizers_specials(tokenizer_folder: Path) -> None:
    model = new_model(SMALL, tokenizer_folder, 0)
    tokenizer = load_tokenizer(tokenizer_folder)
    assert model.config.eos_token_id == special_id(tokenizer, EOT)
    assert model.config.pad_token_id == special_id(tokenizer, PAD)
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    assert model.config._attn_implementation == "sdpa"
    assert model.config.rope_parameters["rope_theta"] == SMALL.rope_base


def test_a_tokenizer_larger_than_the_preset_is_refused(tokenizer_folder: Path) -> None:
    with pytest.raises(ValueError, match="same preset"):
        new_model(shape(vocab=300), tokenizer_folder, 0)


def test_saved_folder_is_a_stock_one(tokenizer_folder: Path, tmp_path: Path) -> None:
    model = new_model(SMALL, tokenizer_folder, 0)
    save_model(model, tokenizer_folder, tmp_path)
    stock = AutoModelForCausalLM.from_pretrained(str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path))
    ids = tokenizer("int solve() { return 0; }", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(stock(ids).logits, model(ids).logits)
    out = stock.generate(ids, max_new_tokens=3, do_sample=False)
    assert ids.shape[1] < out.shape[1] <= ids.shape[1] + 3
    assert stock.generation_config.eos_token_id == tokenizer.eos_token_id
    assert weights_sha256(load_model(tmp_path)) == weights_sha256(model)


def test_loading_an_unfinished_folder_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_model(tmp_path)
