"""The sampler against the library's forward and generate, and its independence of the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel
from transformers.models.llama import LlamaConfig, LlamaForCausalLM
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

from cpp_pipeline.corpus.tokenizer import encode_plain, load_tokenizer
from cpp_pipeline.models import sampling
from cpp_pipeline.models.build import new_model
from cpp_pipeline.models.sampling import counter_key, sample, uniforms
from cpp_pipeline_tests.models.material import SMALL, VOCAB, family_rows


@pytest.fixture(scope="module")
def prompts(tokenizer_folder: Path) -> list[list[int]]:
    """Prompts of different lengths."""
    tokenizer = load_tokenizer(tokenizer_folder)
    return [encode_plain(tokenizer, text)[: 5 + 3 * i] for i, (text, _) in enumerate(family_rows()[:9])]


def _random_model(tokenizer_folder: Path) -> PreTrainedModel:
    """Untrained, but with every matrix in use: fresh models have zero output projections."""
    model = new_model(SMALL, tokenizer_folder, 0).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.15)
    return model


def _llama() -> PreTrainedModel:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_bias=True,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(params=["random", "trained", "llama"])
def model(request: pytest.FixtureRequest, tokenizer_folder: Path, trained: PreTrainedModel) -> PreTrainedModel:
    """Three models that the sampler has to serve."""
    if request.param == "random":
        return _random_model(tokenizer_folder)
    return trained if request.param == "trained" else _llama()


def _generate(model: PreTrainedModel, prompt: list[int], new: int, eos: list[int]) -> list[int]:
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def test_greedy_equals_generate(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    new = 24
    plain = sample(model, prompts, 1, new, 0.0, [], 0)
    # an id that does occur ends some rows early
    eos = [plain[0][0].ids[5], plain[3][0].ids[9]]
    got = sample(model, prompts, 2, new, 0.0, eos, 0)
    for prompt, (first, second) in zip(prompts, got, strict=True):
        expected = _generate(model, prompt, new, eos)
        ended = expected[-1] in eos
        assert first.ids == (expected[:-1] if ended else expected)
        assert first.truncated is not ended
        assert first == second
    assert any(not c.truncated for c, _ in got)


def test_logprobs_equal_the_librarys_forward(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    eos = [7, 60, 61, 62, 300]
    for temperature in (1.0, 0.7):
        got = sample(model, prompts, 3, 20, temperature, eos, 4)
        for prompt, completions in zip(prompts, got, strict=True):
            for c in completions:
                assert len(c.logprobs) == len(c.ids) + (not c.truncated)
                ids = torch.tensor([[*prompt, *c.ids]])
                with torch.no_grad():
                    logp = model(ids).logits[0, len(prompt) - 1 :].log_softmax(-1)
                here = logp[: len(c.ids)].gather(1, torch.tensor(c.ids, dtype=torch.long)[:, None])[:, 0]
                assert torch.allclose(here, torch.tensor(c.logprobs[: len(c.ids)]), atol=1e-5)
                if not c.truncated:
                    assert any(abs(float(logp[-1, e]) - c.logprobs[-1]) < 1e-5 for e in eos)


def test_a_completion_does_not_depend_on_the_batch(
    model: PreTrainedModel, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"p{i}" for i in range(len(prompts))]
    eos = [7, 60, 61, 62, 300]
    whole = sample(model, prompts, 4, 20, 1.0, eos, 11, keys)
    backwards = sample(model, prompts[::-1], 4, 20, 1.0, eos, 11, keys[::-1])[::-1]
    alone = sample(model, [prompts[4]], 2, 20, 1.0, eos, 11, [keys[4]])[0]
    monkeypatch.setitem(sampling.ROWS_AT_ONCE, "cpu", 3)
    small = sample(model, prompts, 4, 20, 1.0, eos, 11, keys)
    ids = [[c.ids for c in p] for p in whole]
    assert ids == [[c.ids for c in p] for p in backwards] == [[c.ids for c in p] for p in small]
    assert [c.ids for c in alone] == ids[4][:2]
    assert len({tuple(c) for p in ids for c in p}) > len(prompts)  # samples differ


def test_another_seed_or_key_gives_other_samples(trained: PreTrainedModel, prompts: list[list[int]]) -> None:
    runs = [
        [c.ids for c in sample(trained, [prompts[0]], 4, 12, 1.0, [], seed, [key])[0]]
        for seed, key in ((0, "a"), (1, "a"), (0, "b"))
    ]
    assert runs[0] != runs[1] and runs[0] != runs[2]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_first_tokens_follow_the_models_distribution(
    trained: PreTrainedModel, prompts: list[list[int]], temperature: float
) -> None:
    n = 4000
    got = sample(trained, [prompts[2]], n, 1, temperature, [], 0)
    counts = np.bincount([c.ids[0] for c in got[0]], minlength=VOCAB)
    with torch.no_grad():
        logits = trained(torch.tensor([prompts[2]])).logits[0, -1]
    expected = (logits / temperature).softmax(-1).double().numpy() * n
    common = expected >= 20
    assert common.any() and counts[common].sum() > n / 2
    assert np.all(np.abs(counts - expected)[common] < 5 * np.sqrt(expected[common]))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.text(max_size=8), st.integers(0, 300))
def test_uniforms_are_a_pure_function_in_the_unit_interval(seed: int, key: str, position: int) -> None:
    keys = np.array([counter_key(seed, key, i) for i in range(50)], dtype=np.uint64)
    values = uniforms(keys, position)
    assert np.array_equal(values[::-1], uniforms(keys[::-1].copy(), position))
    assert values.min() >= 0.0 and values.max() < 1.0
    assert len(set(values.tolist())) == 50


def test_uniforms_are_spread_evenly() -> None:
    keys = np.array([counter_key(0, "p", i) for i in range(200)], dtype=np.uint64)
    values = np.concatenate([uniforms(keys, t) for t in range(100)])
    histogram = np.histogram(values, bins=20, range=(0, 1))[0]
    assert np.all(np.abs(histogram - 1000) < 5 * 31)


def test_wrong_requests_are_refused(trained: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match="prompt 1 has 0 tokens"):
        sample(trained, [[1], []], 1, 4, 1.0, [], 0)
    with pytest.raises(ValueError, match="context of 256"):
        sample(trained, [[1] * 250], 1, 10, 1.0, [], 0)
    with pytest.raises(ValueError, match="at least 1"):
        sample(trained, [[1]], 0, 4, 1.0, [], 0)
    sliding = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
    )
    with pytest.raises(ValueError, match="sliding"):
        sample(Qwen3ForCausalLM(sliding), [[1]], 1, 4, 1.0, [], 0)
    assert sample(trained, [], 1, 4, 1.0, [], 0) == []
