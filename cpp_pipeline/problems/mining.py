"""Problems mined from documented functions, with tests generated from the function itself.

Belongs here: the funnel from a documented function to an admitted problem, and the reason for every one that
falls out. Does not belong here: the static conditions (`candidates`), inputs (`inputs`), edits (`mutants`).

Admission: at least 12 natural inputs on which two runs of the reference agree, more than one distinct output, no
constant answer right on more than 90 % of them, the empty body fails, and of at least 3 mutants that compile at
least 80 % fail a test.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.problems.candidates import Candidate, Unfit, candidate
from cpp_pipeline.problems.inputs import default_value, natural_inputs
from cpp_pipeline.problems.judging import MUTANT_TIMEOUT_SECONDS, judge
from cpp_pipeline.problems.mutants import mutants
from cpp_pipeline.problems.rows import Row, problem_row, quarantine_row, short_hash
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.schemas import TABLES

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient

N_INPUTS = 40
MIN_TESTS = 12
MIN_MUTANTS = 3
MAX_MUTANTS = 12
MIN_KILLED = 0.8
MAX_CONSTANT = 0.9
COVERS = 3
MAX_VALUE_CHARACTERS = 2000
BATCH_CANDIDATES = 50
_BATCH_ROWS = 20_000
_RETURNED = ("AC", "WA")


@dataclass
class _Attempt:
    """A candidate on its way through the funnel."""

    candidate: Candidate
    tests: list[Row]
    killed_by: list[set[int]] = field(default_factory=list)
    """for each mutant that compiled, the tests that it fails"""

    @property
    def pair_id(self) -> str:
        return str(self.candidate.row["pair_id"])

    def job(self, name: str, code: str, timeout: float = 5.0) -> Job:
        made = self.candidate
        return Job(
            id=f"{self.pair_id}{name}",
            code=code,
            prototype=made.signature,
            test_cases=self.tests,
            preamble=made.preamble,
            timeout=timeout,
        )


def mine(
    pairs: pl.LazyFrame, client: SandboxClient, limit: int, seed: int, log: Callable[[str], None], scratch: Path
) -> tuple[list[Row], pl.LazyFrame]:
    """Problems from rows of `docstring_pairs`.

    Parameters
    ----------
    limit
        Most candidates to compile, a fixed sample by hash; rows are streamed, only the sample is held.
    log
        Receives one line a batch.
    scratch
        Folder for the quarantine rows, which are as many as there are functions.

    Returns
    -------
    tuple
        Rows of `train_problems` (source `mined`), and a frame of quarantine rows with the reason for each
        function that was looked at and is no problem.

    Raises
    ------
    SandboxTrouble
        When the sandbox could not judge.
    """
    file = Path(tempfile.mkdtemp(prefix="mined-", dir=scratch)) / "quarantine.parquet"
    rows: list[Row] = []
    with Spool(TABLES["train_problems_quarantine"], file) as rejected:
        sample = _sample(pairs, limit, seed, rejected)
        for start in range(0, len(sample), BATCH_CANDIDATES):
            batch = sample[start : start + BATCH_CANDIDATES]
            kept, refused = _mine_batch(batch, client, seed)
            rows += kept
            for row in refused:
                rejected.add(row)
            log(f"mined {len(rows)} problems from {start + len(batch)} of {len(sample)} candidates")
    return rows, rejected.scan()


def _sample(pairs: pl.LazyFrame, limit: int, seed: int, rejected: Spool) -> list[Candidate]:
    """The `limit` fit functions with the smallest hashes, one for each distinct code."""
    heap: list[tuple[int, str, Candidate]] = []
    seen: set[bytes] = set()
    for row in _rows(pairs):
        code = hashlib.blake2b(row["token_sha256"].encode(), digest_size=8).digest()
        try:
            if code in seen:
                raise Unfit("duplicate", f"{row['dump']}:{row['repo']}/{row['path']}:{row['line']}")
            made = candidate(row)
        except Unfit as unfit:
            rejected.add(quarantine_row(row["pair_id"], unfit.reason, str(unfit), row["signature"]))
            continue
        seen.add(code)
        rank = int(short_hash("mine", seed, row["token_sha256"]), 16)
        heapq.heappush(heap, (-rank, row["pair_id"], made))
        if len(heap) > limit:
            heapq.heappop(heap)
    return [made for _, _, made in sorted(heap, key=lambda entry: (-entry[0], entry[1]))]


def _rows(pairs: pl.LazyFrame) -> Iterator[Row]:
    offset = 0
    while batch := pairs.slice(offset, _BATCH_ROWS).collect().to_dicts():
        yield from batch
        offset += _BATCH_ROWS


def _mine_batch(batch: Sequence[Candidate], client: SandboxClient, seed: int) -> tuple[list[Row], list[Row]]:
    rejected: list[Row] = []

    def passing(attempts: Sequence[_Attempt], check: Callable[[_Attempt], None]) -> list[_Attempt]:
        kept = []
        for attempt in attempts:
            try:
                check(attempt)
            except Unfit as unfit:
                made = attempt.candidate
                rejected.append(quarantine_row(attempt.pair_id, unfit.reason, str(unfit), made.code))
            else:
                kept.append(attempt)
        return kept

    attempts = [_start(made, seed) for made in batch]
    attempts = passing(attempts, _check_inputs)
    first, second = (
        {r.id: r for r in judge(client, [a.job(f"#{run}", a.candidate.code) for a in attempts])} for run in (1, 2)
    )
    attempts = passing(attempts, lambda a: _check_outputs(a, first[f"{a.pair_id}#1"], second[f"{a.pair_id}#2"]))
    _run_mutants(attempts, client, seed)
    attempts = passing(attempts, _check_mutants)
    empty = [a.job("#empty", f"{a.candidate.signature} {{\n    return {{}};\n}}\n") for a in attempts]
    verdicts = {r.id: r.verdict for r in judge(client, empty)}
    attempts = passing(attempts, lambda a: _check_empty(verdicts[f"{a.pair_id}#empty"]))
    return [_problem(a, seed) for a in attempts], rejected


def _start(made: Candidate, seed: int) -> _Attempt:
    expected = default_value(made.prototype.return_type)
    inputs = natural_inputs(made.prototype, N_INPUTS, f"{seed} {made.row['token_sha256']}")
    return _Attempt(made, [{"args": args, "expected": expected} for args in inputs])


def _check_inputs(attempt: _Attempt) -> None:
    if len(attempt.tests) < MIN_TESTS:
        raise Unfit("too few inputs", f"{len(attempt.tests)} natural inputs for {attempt.candidate.signature}")


def _check_outputs(attempt: _Attempt, first: Result, second: Result) -> None:
    """Set the tests to what the reference returned twice."""
    if not first.compile_ok:
        raise Unfit("does not compile alone", (first.error or first.stderr)[:500])
    once, twice = _values(first), _values(second)
    steady = [i for i in once if i in twice and _text(once[i]) == _text(twice[i])]
    if len(steady) < len(once):
        raise Unfit("not deterministic", f"{len(once) - len(steady)} of {len(once)} inputs differ in a second run")
    attempt.tests = [
        {"args": attempt.tests[i]["args"], "expected": once[i]}
        for i in steady
        if len(_text(once[i])) <= MAX_VALUE_CHARACTERS
    ]
    if len(attempt.tests) < MIN_TESTS:
        raise Unfit("too few inputs", f"{len(attempt.tests)} of {first.tests_total} inputs gave a value")
    outputs = Counter(_text(t["expected"]) for t in attempt.tests)
    if len(outputs) == 1:
        raise Unfit("one output only", next(iter(outputs))[:200])
    commonest, count = outputs.most_common(1)[0]
    if count > MAX_CONSTANT * len(attempt.tests):
        raise Unfit("constant answer passes", f"{commonest[:200]} is right {count} times of {len(attempt.tests)}")


def _values(result: Result) -> dict[int, Any]:
    return {t.index: t.actual for t in result.tests if t.verdict in _RETURNED}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _run_mutants(attempts: Sequence[_Attempt], client: SandboxClient, seed: int) -> None:
    asked = [
        (attempt, attempt.job(f"~{position}", mutant.code, MUTANT_TIMEOUT_SECONDS))
        for attempt in attempts
        for position, mutant in enumerate(mutants(attempt.candidate.code, MAX_MUTANTS, seed))
    ]
    for (attempt, _), result in zip(asked, judge(client, [j for _, j in asked]), strict=True):
        if result.compile_ok:
            judged = {t.index: t.verdict for t in result.tests}
            attempt.killed_by.append({i for i in range(len(attempt.tests)) if judged.get(i) != "AC"})


def _check_mutants(attempt: _Attempt) -> None:
    total, killed = len(attempt.killed_by), sum(map(bool, attempt.killed_by))
    if total < MIN_MUTANTS:
        raise Unfit("too few mutants", f"{total} mutants compile")
    if killed < MIN_KILLED * total:
        raise Unfit("tests too weak", f"{killed} of {total} mutants fail a test")


def _check_empty(verdict: str | None) -> None:
    if verdict == "AC":
        raise Unfit("empty body passes", "`return {};` passes every test")


def _problem(attempt: _Attempt, seed: int) -> Row:
    made = attempt.candidate
    row = made.row
    chosen = choose_tests(len(attempt.tests), [k for k in attempt.killed_by if k], seed)
    return problem_row(
        problem_id=f"mined/{attempt.pair_id}",
        source="mined",
        split_key=f"mined:{row['dump']}:{row['repo']}",
        doc=row["doc"].strip(),
        signature=made.signature,
        entry_point=made.prototype.name,
        preamble=made.preamble,
        tests=[attempt.tests[i] for i in chosen],
        references=[made.code],
        licence=row["licence"],
        mutation_score=sum(map(bool, attempt.killed_by)) / len(attempt.killed_by),
        provenance=f"{row['dump']}:{row['repo']}/{row['path']}:{row['line']}",
    )


def choose_tests(n_tests: int, killed_by: Sequence[set[int]], seed: int) -> list[int]:
    """Indices of the hidden tests: three disjoint greedy covers of the killed mutants, then others up to 12.

    A minimal cover alone would be weak: one test often kills every mutant, and a wrong answer is no mutant.
    Every mutant that some test kills is killed by a chosen one.
    """
    order = sorted(range(n_tests), key=lambda i: short_hash("tests", seed, i))
    chosen: list[int] = []
    for _ in range(COVERS):
        open_mutants = [k for k in killed_by if k - set(chosen)]
        while open_mutants:
            free = [i for i in order if i not in chosen]
            best = max(free, key=lambda i: sum(i in k for k in open_mutants))
            chosen.append(best)
            open_mutants = [k for k in open_mutants if best not in k and k - set(chosen)]
    chosen += [i for i in order if i not in chosen][: max(0, MIN_TESTS - len(chosen))]
    return sorted(chosen)
