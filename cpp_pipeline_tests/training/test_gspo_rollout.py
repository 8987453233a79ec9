"""Drawing, sampling and judging of a generation."""

from __future__ import annotations

import threading

import polars as pl
import pytest

from cpp_pipeline.sandbox.types import Result
from cpp_pipeline.training.gspo_logprobs import frozen_logprobs
from cpp_pipeline.training.gspo_rollout import (
    RolloutConfig,
    VerdictsMissingError,
    draw_groups,
    load_prompts,
    roll_out,
    score,
)
from cpp_pipeline_tests.training.gspo_support import SHIFTS, fresh, write_prompts

CONFIG = RolloutConfig(groups=4, group_size=6, max_new_tokens=30, seed=3, chunk_prompts=2)


class Judge:
    """Calls an answer right when it adds 1; remembers what it was asked."""

    def __init__(self, broken: int = 0) -> None:
        self.jobs = []
        self.threads = set()
        self.broken = broken

    def __call__(self, jobs):
        self.threads.add(threading.get_ident())
        self.jobs += jobs
        return [self.result(job) for job in jobs]

    def result(self, job):
        if self.broken:
            self.broken -= 1
            return Result(job.id, None, None, None, 2, error="no worker")
        right = "x + 1;" in job.code
        return Result(job.id, "AC" if right else "WA", True, 2 * right, 2)


def _prompts(tmp_path, tokenizer):
    return load_prompts(pl.scan_parquet(write_prompts(tmp_path / "p.parquet")), tokenizer, 98)


def _roll(tmp_path, judge, config=CONFIG, generation=0):
    model, tokenizer = fresh()
    rolled = roll_out(
        model, tokenizer, _prompts(tmp_path, tokenizer), generation=generation, config=config, verify=judge
    )
    return model, tokenizer, rolled


def test_groups_are_a_pure_function_without_repetition():
    drawn = [draw_groups(50, 20, seed, generation) for seed in (0, 1) for generation in (0, 1)]
    assert all(len(set(d)) == 20 and set(d) <= set(range(50)) for d in drawn)
    assert len({tuple(d) for d in drawn}) == 4
    assert draw_groups(50, 20, 1, 1) == drawn[3]
    with pytest.raises(ValueError, match="--groups"):
        draw_groups(3, 4, 0, 0)


def test_a_generation(tmp_path):
    judge = Judge()
    model, tokenizer, rolled = _roll(tmp_path, judge)
    rollouts = rolled.rollouts
    assert [r.group for r in rollouts] == [g for g in range(4) for _ in range(6)]
    assert all(len({r.row.prompt_ids for r in rollouts if r.group == g}) == 1 for g in range(4))
    # identical completions are judged once, in the judging thread, and share their reward
    finished = {(r.row.prompt_ids, r.row.completion_ids) for r in rollouts if not r.truncated}
    assert rolled.judged == len(judge.jobs) == len(finished) < len(rollouts)
    assert threading.get_ident() not in judge.threads
    for r in rollouts:
        text = tokenizer.decode(r.row.completion_ids[:-1], skip_special_tokens=False)
        assert r.reward == float("x + 1;" in text)
    assert {r.reward for r in rollouts} == {0.0, 1.0}
    # the sampler's log-probabilities are the trainer's
    for values, r in zip(frozen_logprobs(model, [r.row for r in rollouts], 512), rollouts, strict=True):
        assert r.old_logp == pytest.approx(values, abs=1e-5)


def test_chunks_do_not_change_the_rollouts(tmp_path):
    results = [_roll(tmp_path, Judge(), RolloutConfig(4, 6, 30, 3, chunk_prompts=c))[2].rollouts for c in (1, 3, 16)]
    facts = [[(r.group, r.row, r.reward, r.truncated) for r in rollouts] for rollouts in results]
    assert facts[0] == facts[1] == facts[2]
    other = _roll(tmp_path, Judge(), generation=1)[2].rollouts
    assert [r.row for r in other] != [r.row for r in results[0]]


def test_unfinished_answers_fail_without_a_verdict(tmp_path):
    judge = Judge()
    _, _, rolled = _roll(tmp_path, judge, RolloutConfig(2, 3, 4, 0))
    assert all(r.truncated and r.reward == 0.0 and r.verdict is None for r in rolled.rollouts)
    assert all(len(r.row.completion_ids) == len(r.old_logp) == 4 for r in rolled.rollouts)
    assert judge.jobs == []


def test_missing_verdicts_mask_a_few_rollouts_and_stop_at_many(tmp_path):
    many = RolloutConfig(groups=6, group_size=10, max_new_tokens=30, seed=3)
    rollouts = _roll(tmp_path, Judge(broken=1), many)[2].rollouts
    # the first distinct completion of the first prompt has no verdict; all its copies are masked
    missing = [r for r in rollouts if r.reward is None]
    assert len({r.row for r in missing}) == 1
    with pytest.raises(VerdictsMissingError, match="of 24 rollouts have no verdict.*no worker.*sandbox check"):
        _roll(tmp_path, Judge(broken=5))


def test_verdicts_that_could_be_feigned_are_masked_and_counted(tmp_path):
    def judge(jobs):
        return [Result(job.id, "AC", True, 2, 2, harness={"mode": "inproc", "forgeable": True}) for job in jobs]

    with pytest.raises(VerdictsMissingError, match="of 24 rollouts.*forgeable harness.*rpc"):
        _roll(tmp_path, judge)


def test_trouble_in_the_judging_thread_is_not_lost(tmp_path):
    def broken(jobs):
        raise ConnectionError("sandbox is gone")

    with pytest.raises(ConnectionError, match="sandbox is gone"):
        _roll(tmp_path, broken)


def test_rewards():
    result = Result("j", "PA", True, 3, 4)
    assert score(result, "binary") == 0.0
    assert score(result, "fraction") == 0.75
    assert score(Result("j", "AC", True, 4, 4), "binary") == 1.0
    assert score(Result("j", None, None, None, 4, error="down"), "binary") is None
    feigned = Result("j", "AC", True, 4, 4, harness={"mode": "inproc", "forgeable": True})
    assert [score(feigned, kind) for kind in ("binary", "fraction")] == [None, None]
    with pytest.raises(ValueError, match="binary or fraction"):
        score(result, "loud")


def test_prompt_table_errors_name_the_remedy(tmp_path):
    _, tokenizer = fresh()
    path = write_prompts(tmp_path / "p.parquet")
    assert len(load_prompts(pl.scan_parquet(path), tokenizer, 98)) == len(SHIFTS)
    with pytest.raises(ValueError, match="add0 has .* tokens.*--max_new_tokens"):
        load_prompts(pl.scan_parquet(path), tokenizer, 4)
    with pytest.raises(ValueError, match="empty"):
        load_prompts(pl.scan_parquet(write_prompts(tmp_path / "e.parquet", [])), tokenizer, 98)
