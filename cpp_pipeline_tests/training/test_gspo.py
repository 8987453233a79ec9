"""GSPO runs from flags to result.json: learning, resuming, refusals, and the real sandbox."""

from __future__ import annotations

import json

import pytest
from transformers import AutoModelForCausalLM

from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.training.gspo import lr_multiplier, main, parser, train
from cpp_pipeline_tests.training.gspo_support import checkpoint, write_prompts


def _flags(tmp_path, name, *more):
    prompts = write_prompts(tmp_path / "prompts.parquet")
    flags = ["--checkpoint_path", checkpoint(), "--prompts", prompts, "--output", tmp_path / name]
    flags += ["--sandbox-url", "http://127.0.0.1:9", "--groups", 4, "--group_size", 8, "--threads", 1]
    flags += ["--max_new_tokens", 30, "--lr", 3e-3, "--warmup_generations", 1, *more]
    return [str(f) for f in flags]


def _train(tmp_path, name, *more, verify=None):
    return train(parser().parse_args(_flags(tmp_path, name, *more)), verify or _adds_one)


def _adds_one(jobs):
    """A judge for whom every problem asks to add 1."""
    return [Result(j.id, "AC" if "x + 1;" in j.code else "WA", True, 0, 2) for j in jobs]


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rewarded_answers_become_common(tmp_path):
    result = _train(tmp_path, "out", "--generations", 8, "--epsilon", 0.05, "--epsilon_high", 0.05)
    metrics = result["metrics"]
    assert metrics["generations"] == 8
    assert metrics["logp_gap"] < 1e-5
    rows = _lines(tmp_path / "out" / "metrics.jsonl")
    assert rows[0]["accuracy"] < 0.6
    assert max(r["accuracy"] for r in rows[4:]) > rows[0]["accuracy"] + 0.3
    trained = [r for r in rows if r["optimizer_steps"]]
    assert all(r["ratio_q05"] <= r["ratio_q50"] <= r["ratio_q95"] for r in trained)
    assert all(r["reward"] == r["accuracy"] and 0 <= r["clip_fraction"] <= 1 for r in trained)
    timing = _lines(tmp_path / "out" / "rollout_timing.jsonl")
    assert [t["generation"] for t in timing] == list(range(8))
    AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True)


def test_a_killed_run_continues_to_the_same_weights(tmp_path):
    more = ("--generations", 3, "--chunk_prompts", 2, "--checkpoint_seconds", 0)
    whole = _train(tmp_path, "whole", *more)
    calls = []

    class KilledError(BaseException):
        pass

    def dies_in_generation_2(jobs):
        calls.append(jobs)
        if len(calls) == 6:
            raise KilledError
        return _adds_one(jobs)

    with pytest.raises(KilledError):
        _train(tmp_path, "cut", *more, verify=dies_in_generation_2)
    assert len(_lines(tmp_path / "cut" / "metrics.jsonl")) == 2
    resumed = _train(tmp_path, "cut", *more)
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["metrics"] == whole["metrics"]
    both = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert both[0] == both[1]


def test_trainer_logprobs_give_the_same_run_in_fp32(tmp_path):
    one = _train(tmp_path, "a", "--generations", 1, "--steps_per_generation", 1)
    two = _train(tmp_path, "b", "--generations", 1, "--steps_per_generation", 1, "--old_logprobs", "trainer")
    assert two["metrics"]["logp_gap"] == pytest.approx(one["metrics"]["logp_gap"], abs=1e-6)
    assert two["metrics"]["optimizer_steps"] == 1


def test_a_generation_without_variance_changes_nothing(tmp_path):
    def nothing_passes(jobs):
        return [Result(j.id, "WA", True, 0, 2) for j in jobs]

    result = _train(tmp_path, "out", "--generations", 1, verify=nothing_passes)
    assert result["metrics"]["optimizer_steps"] == 0
    assert result["metrics"]["zero_variance_share"] == 1.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--beta", 0.1), "no KL term"),
        (("--group_size", 1), "--group_size 1"),
        (("--epsilon", 0), "--epsilon"),
        (("--generations", 2, "--num_iterations", 8), "not both"),
        (("--groups", 99, "--generations", 1), "lower --groups"),
    ],
)
def test_refusals(tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        _train(tmp_path, "out", *flags)
    assert not (tmp_path / "out" / "result.json").exists()


def test_iterations_are_optimizer_steps(tmp_path):
    result = _train(tmp_path, "out", "--num_iterations", 5, "--steps_per_generation", 4)
    assert result["steps"] == result["metrics"]["generations"] == 2


def test_the_learning_rate_warms_up_and_falls_to_a_twentieth():
    rates = [lr_multiplier(g, 36, 3) for g in range(36)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)
    assert lr_multiplier(0, 1, 3) == 1.0


def test_against_the_real_sandbox(tmp_path, sandbox_url):
    flags = _flags(tmp_path, "out", "--generations", 1)
    flags[flags.index("--sandbox-url") + 1] = sandbox_url
    main(flags)
    with SandboxClient(sandbox_url) as client:
        again = _train(tmp_path, "again", "--generations", 1, verify=client.batch_verify)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["metrics"]["none_share"] == 0.0
    assert 0 < result["metrics"]["accuracy_first"] < 1
    assert result["weights_sha256"] == again["weights_sha256"]
