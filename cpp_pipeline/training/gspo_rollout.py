"""Rollouts of one GSPO generation: draw prompts, sample groups, judge them.

Belongs here: everything between the prompt table and the rewards of a generation. Judging runs
beside sampling: each finished chunk of prompts is judged while the next is sampled.
Does not belong here: the objective (`gspo_loss`) and the weights' update (`gspo_update`).
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from cpp_pipeline.corpus.formats import chat_prompt, code_from_completion
from cpp_pipeline.corpus.tokenizer import encode_with_specials
from cpp_pipeline.models.sampling import Completion, sample
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.rewards import MAX_MASKED, TooManyMasked, refuse_many_masked, reward
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.training.gspo_logprobs import TokenRow

REWARDS = ("binary", "fraction")
Verify = Callable[[Sequence[Job]], Sequence[Result]]
"""judges jobs and returns their results in the same order (`SandboxClient.batch_verify`)"""


class VerdictsMissingError(RuntimeError):
    """Too many rollouts of a generation have no verdict that gives a reward."""


@dataclass(frozen=True)
class Prompt:
    """One row of `gspo_prompts`, ready to sample and to judge."""

    problem_id: str
    ids: tuple[int, ...]
    signature: str
    preamble: str
    tests: list[dict[str, Any]]


@dataclass(frozen=True)
class Rollout:
    """One sampled completion with its reward; `old_logp` is the sampler's, one per completion id."""

    group: int
    row: TokenRow
    old_logp: tuple[float, ...]
    truncated: bool
    reward: float | None
    verdict: str | None


@dataclass(frozen=True)
class RolloutConfig:
    """How a generation is sampled and rewarded."""

    groups: int
    group_size: int
    max_new_tokens: int
    seed: int
    reward: str = "binary"
    """`binary`: 1 when every test passes; `fraction`: share of tests passed"""
    chunk_prompts: int = 16
    """prompts that are sampled together; their judging overlaps the sampling of the next"""


@dataclass(frozen=True)
class Generation:
    """All rollouts of a generation in order of prompt and sample, and where the time went."""

    rollouts: list[Rollout]
    judged: int
    """distinct completions that were sent to the sandbox"""
    sampling_cpu_seconds: float
    judging_seconds: float
    """wall time of the judging calls"""
    waiting_seconds: float
    """part of it that sampling did not hide"""


def load_prompts(frame: pl.LazyFrame, tokenizer: Tokenizer, max_prompt_tokens: int) -> list[Prompt]:
    """Rows of `gspo_prompts` as prompts in chat format, ordered by problem.

    Raises
    ------
    ValueError
        When the table is empty, or a prompt leaves no room for an answer in the model's context.
    """
    rows = TABLES["gspo_prompts"].conform(frame).sort("problem_id").collect().rows(named=True)
    if not rows:
        raise ValueError("the prompt table is empty: build gspo_prompts from problems with tests")
    prompts = []
    for row in rows:
        ids = tuple(encode_with_specials(tokenizer, chat_prompt(row["instruction"])))
        if len(ids) > max_prompt_tokens:
            raise ValueError(
                f"prompt of problem {row['problem_id']} has {len(ids)} tokens, the context leaves room for "
                f"{max_prompt_tokens}: lower --max_new_tokens or leave the problem out"
            )
        tests = loads_tests(row["tests"])
        prompts.append(Prompt(row["problem_id"], ids, row["signature"], row["preamble"], tests))
    return prompts


def draw_groups(n_prompts: int, groups: int, seed: int, generation: int) -> list[int]:
    """Indices of the prompts of one generation, without repetition: a pure function of its arguments."""
    if groups > n_prompts:
        raise ValueError(f"{groups} groups cannot be drawn from {n_prompts} prompts: lower --groups")
    return random.Random(f"gspo:{seed}:{generation}").sample(range(n_prompts), groups)


def roll_out(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    *,
    generation: int,
    config: RolloutConfig,
    verify: Verify,
) -> Generation:
    """Sample `group_size` completions at temperature 1 for each drawn prompt, and judge them.

    A completion depends on seed, generation, problem and sample number alone, so neither chunks nor a
    restart change it. Unfinished completions earn 0 without being judged.

    Raises
    ------
    VerdictsMissingError
        When more than 5 % of the rollouts have no reward: trouble of the sandbox, or a harness that can be fooled.
    """
    drawn = [prompts[i] for i in draw_groups(len(prompts), config.groups, config.seed, generation)]
    cpu = 0.0
    chunks: list[tuple[list[list[Completion]], Future[_Judged]]] = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge") as pool:
        for start in range(0, len(drawn), config.chunk_prompts):
            chunk = drawn[start : start + config.chunk_prompts]
            begun = time.thread_time()
            completions = _sample(model, chunk, generation, config)
            cpu += time.thread_time() - begun
            chunks.append((completions, pool.submit(_judge, tokenizer, chunk, completions, verify)))
        sampled = time.perf_counter()
        judged = [future.result() for _, future in chunks]
    waited = time.perf_counter() - sampled
    rollouts: list[Rollout] = []
    masked: list[Result] = []
    for (completions, _), verdicts in zip(chunks, judged, strict=True):
        for samples in completions:
            group = len(rollouts) // config.group_size
            for completion in samples:
                result = verdicts.results.get((drawn[group].problem_id, tuple(completion.ids)))
                earned = 0.0 if result is None else score(result, config.reward)
                if result is not None and earned is None:
                    masked.append(result)
                ending = () if completion.truncated else (eos_id(model),)
                rollouts.append(
                    Rollout(
                        group,
                        TokenRow(drawn[group].ids, (*completion.ids, *ending)),
                        tuple(completion.logprobs),
                        completion.truncated,
                        earned,
                        None if result is None else result.verdict,
                    )
                )
    _require_verdicts(masked, len(rollouts))
    return Generation(
        rollouts,
        sum(len(j.results) for j in judged),
        cpu,
        sum(j.seconds for j in judged),
        waited,
    )


@dataclass(frozen=True)
class _Judged:
    results: dict[tuple[str, tuple[int, ...]], Result]
    seconds: float


def _sample(
    model: PreTrainedModel, prompts: Sequence[Prompt], generation: int, config: RolloutConfig
) -> list[list[Completion]]:
    return sample(
        model,
        [list(p.ids) for p in prompts],
        n=config.group_size,
        max_new_tokens=config.max_new_tokens,
        temperature=1.0,
        eos_ids=[eos_id(model)],
        seed=config.seed,
        prompt_keys=[f"gspo:{generation}:{p.problem_id}" for p in prompts],
    )


def _judge(
    tokenizer: Tokenizer, prompts: Sequence[Prompt], completions: list[list[Completion]], verify: Verify
) -> _Judged:
    """Judge each distinct finished completion of a chunk once; identical ones share the result."""
    jobs: dict[tuple[str, tuple[int, ...]], Job] = {}
    for prompt, samples in zip(prompts, completions, strict=True):
        for completion in samples:
            key = (prompt.problem_id, tuple(completion.ids))
            if completion.truncated or key in jobs:
                continue
            text = tokenizer.decode(completion.ids, skip_special_tokens=False)
            code = code_from_completion("chat", {}, text)
            name = f"{prompt.problem_id}:{hashlib.sha256(code.encode()).hexdigest()[:16]}"
            jobs[key] = Job(name, code, prompt.signature, prompt.tests, preamble=prompt.preamble)
    begun = time.perf_counter()
    results = verify(list(jobs.values())) if jobs else []
    seconds = time.perf_counter() - begun
    return _Judged(dict(zip(jobs, results, strict=True)), seconds)


def score(result: Result, kind: str) -> float | None:
    """Reward of a judged completion; None when the sandbox had trouble of its own, or its harness can be fooled."""
    share = reward(result)
    if kind == "fraction" or share is None:
        return share
    if kind == "binary":
        return float(result.verdict == "AC")
    raise ValueError(f"reward {kind!r}: choose binary or fraction")


def eos_id(model: PreTrainedModel) -> int:
    """The one token that ends an answer."""
    eos = model.config.eos_token_id
    return int(eos[0] if isinstance(eos, list) else eos)


def _require_verdicts(masked: Sequence[Result], total: int) -> None:
    try:
        refuse_many_masked(masked, total, MAX_MASKED, "rollouts")
    except TooManyMasked as error:
        raise VerdictsMissingError(f"{error}: the run resumes here") from error
