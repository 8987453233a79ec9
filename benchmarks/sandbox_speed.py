"""CPU seconds per evaluation against g++ for each sample and the way of MultiPL-E; equal candidates compile once.

MultiPL-E's evaluator calls g++ as the first peer does, and looks up programs whose text it has judged before.
Each repeat takes other problems and 16 solutions of each: 10 right, 4 wrong or crashing, 2 that do not compile. All 16
differ; or 9 differ, 4 are exact repetitions and 3 differ in comments and layout from one of the 9 (44 %). Most such
functions may be compiled together; in the form `each alone` a declaration in front of them forbids that.
"""

from __future__ import annotations

import itertools
import random
import re
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common.controller import Controller, controller, fresh_controller
from benchmarks.common.corpora import not_run
from benchmarks.common.humaneval import NEEDED, at_the_beginning, mutants, program, solutions, with_all_headers
from benchmarks.common.machine import version_of
from benchmarks.common.peer import Evaluated, evaluate
from benchmarks.common.rows import Options, Row, ratio_row
from cpp_pipeline.problems.asserts import NotConvertible, convert
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.cpp.prototype import parse_signature
from cpp_pipeline.sandbox.types import Job, Result

_NAME = "sandbox_speed"
_MARK = "// of the other set\n"
_BEFORE = "struct Unused {};\n"
_FORMS = ("test_code", "test_cases", "test_code, each alone")
_EQUAL, _EQUAL_TEXTS, _EQUAL_WAYS = 32, ("equal texts", "comments differ"), ("one batch", "requests at once")
_HEADERS = {"bits": "<bits/stdc++.h>", "native": "own headers"}
_BARS = {("bits", "unique"): 5.0, ("bits", "repeated"): 8.0, ("native", "unique"): 1.3, ("native", "repeated"): 2.0}
_NOT_LOOPING = re.compile(r"\breturn\b|\bif\b")
_STD_NAME = re.compile(r"(?<![\w:])(vector|string|map|pair)\b")
_LATER = "and {:.1f} CPU s when another standard is first asked for; precompiled headers are kept for later starts"


@dataclass(frozen=True)
class Sample:
    """Candidates of one problem: 16 that differ, and 16 of which 9 differ."""

    unique: list[Job]
    repeated: list[Job]


@dataclass(frozen=True)
class Turn:
    """CPU seconds per evaluation of one repeat: ours, g++ for each sample, and g++ once for each distinct text.

    `together` is the share of our candidates that were compiled with others.
    """

    ours: float
    plain: float
    multipl_e: float
    together: float


def run(options: Options) -> list[Row]:
    """Ratios by headers, repetition and form of the tests, and the number of compilations of 32 equal candidates."""
    if options.humaneval is None:
        return [not_run(_NAME, "verdicts against plain g++ and against MultiPL-E", NEEDED)]
    problems = _problems(options.humaneval, options.seed)
    with fresh_controller(options.workers) as ours, SandboxClient(ours.url) as client:
        started = ours.cpu_seconds()
        for form, job in itertools.product(_FORMS[:2], (problems[-1], with_all_headers(problems[-1]))):
            client.batch_verify([_in_form(job, form)])
        asked = ours.cpu_seconds() - started
        return [
            *_compared(ours, client, problems, options),
            Row(_NAME, "first start of a controller on a machine", f"{started:.1f} CPU s", notes=_LATER.format(asked)),
            *_identical(problems[0], options),
        ]


def _compared(ours: Controller, client: SandboxClient, problems: Sequence[Job], options: Options) -> Iterator[Row]:
    repeats, each = options.size((3, 2), (1, 1))
    found: dict[tuple[str, str, str], list[Turn]] = {}
    total, differing = 0, []
    for at, headers in itertools.product(range(repeats), _HEADERS):
        samples = [sample(job, headers, options.seed + at) for job in problems[at * each : (at + 1) * each]]
        judged = _peer(samples, options.workers)
        for repetition, form in itertools.product(("unique", "repeated"), _FORMS):
            jobs = [job for sample in samples for job in getattr(sample, repetition)]
            results, spent = _ours(ours, client, [_in_form(job, form) for job in jobs])
            together = sum(bool(result.harness.get("grouped")) for result in results) / len(results)
            found.setdefault((headers, repetition, form), []).append(_turn(jobs, judged, spent, together))
            total += len(jobs)
            for job, result in zip(jobs, results, strict=True):
                if (result.verdict == "AC") != judged[_text(job)].passed:
                    differing.append(f"{job.id}, {headers}, {form}: {result.verdict} here")
    for key, turns in found.items():
        yield from speed_rows(key, turns, each)
    what, agreed = "verdicts equal to the peer's in these runs", f"{total - len(differing)} of {total}"
    yield Row(_NAME, what, agreed, bar="all", ok=not differing, details=differing)


def _problems(humaneval: Path, seed: int) -> list[Job]:
    """Solutions whose asserts have a JSON form too, in a seeded order."""
    jobs = [replace(job, test_cases=cases) for job in solutions(humaneval) if (cases := _cases(job))]
    random.Random(seed).shuffle(jobs)
    return jobs


def _cases(job: Job) -> list[dict[str, object]]:
    try:
        signature = _STD_NAME.sub(r"std::\1", re.sub(r"\s+", " ", job.prototype))
        return convert(job.test_code, parse_signature(signature))
    except (NotConvertible, ValueError):
        return []


def sample(job: Job, headers: str, seed: int) -> Sample:
    """The candidates of one problem, seeded; `headers` is `bits` or `native`."""
    rng = random.Random(f"{job.id} {seed}")
    job = with_all_headers(job) if headers == "bits" else job
    right = [at_the_beginning(job.code, f"int variant_{at} = {at};") for at in range(10)]
    wrong = list(itertools.islice(mutants(job.code, rng, lambda line: bool(_NOT_LOOPING.search(line))), 3))
    wrong += [at_the_beginning(job.code, f"if (sizeof(int) == 4) throw {at};") for at in range(4 - len(wrong))]
    errors = ("int variant = undeclared_name;", "std::vector<int> variant = 1.5;")
    broken = [at_the_beginning(job.code, text) for text in errors]
    differ = [*right[:5], *wrong[:3], broken[0]]
    again = [right[0], right[1], right[2], wrong[0]]
    variants = [_commented(code) for code in (right[3], right[4], broken[0])]
    return Sample(
        [replace(job, id=f"{job.id}/{at}", code=code) for at, code in enumerate([*right, *wrong, *broken])],
        # a comment behind the tests, so that nothing compiled for the tests of the other set can serve here
        [
            replace(job, id=f"{job.id}/{at}", code=code, test_code=f"{job.test_code}{_MARK}")
            for at, code in enumerate([*differ, *again, *variants])
        ],
    )


def _commented(code: str) -> str:
    """The same code in another layout."""
    return "// a remark\n" + re.sub(r"^ +", "\t", code.replace("\n", "  // and one more\n", 1), flags=re.MULTILINE)


def _in_form(job: Job, form: str) -> Job:
    if form == "test_cases":
        return replace(job, test_code="")
    return replace(job, test_cases=[], preamble=job.preamble + (_BEFORE if form == _FORMS[2] else ""))


def _peer(samples: Sequence[Sample], workers: int) -> dict[str, Evaluated]:
    """Every text once: an exact repetition costs the peer the same again, so it is counted again and not run again."""
    texts = list(dict.fromkeys(_text(job) for sample in samples for job in (*sample.unique, *sample.repeated)))
    return dict(zip(texts, evaluate(texts, workers), strict=True))


def _text(job: Job) -> str:
    return program(job).removesuffix(_MARK)


def _ours(ours: Controller, client: SandboxClient, jobs: Sequence[Job]) -> tuple[list[Result], float]:
    before = ours.cpu_seconds()
    results = client.batch_verify(jobs)
    spent = ours.cpu_seconds() - before
    errors = [f"{result.id}: {result.error}" for result in results if result.error]
    if errors:
        raise RuntimeError(f"no verdict for {len(errors)} jobs, so nothing can be compared: {errors[0]}")
    return results, spent


def _turn(jobs: Sequence[Job], judged: dict[str, Evaluated], spent: float, together: float) -> Turn:
    texts = [_text(job) for job in jobs]
    costs = [sum(judged[text].cpu_seconds for text in some) / len(jobs) for some in (texts, dict.fromkeys(texts))]
    return Turn(spent / len(jobs), costs[0], costs[1], together)


def speed_rows(key: tuple[str, str, str], turns: Sequence[Turn], problems: int) -> list[Row]:
    """A row for each peer; `key` says which headers, whether candidates repeat, and the form of the tests."""
    headers, repetition, form = key
    kind = "all differ" if repetition == "unique" else "44 % repeated"
    what = f"{_HEADERS[headers]}, {kind}, {form}"
    ours, plain, multipl_e = ([getattr(turn, name) for turn in turns] for name in ("ours", "plain", "multipl_e"))
    together = statistics.mean(turn.together for turn in turns)
    notes = f"{16 * problems} evaluations in each repeat, {together:.0%} of them compiled together with others"
    least, compiler = _BARS[headers, repetition], version_of("g++")
    way = f"{compiler}, once for each distinct program, as MultiPL-E evaluates"
    return [
        ratio_row(_NAME, f"{what}: plain g++", ours, plain, "CPU s", least, notes, f"{compiler}, for each sample"),
        ratio_row(_NAME, f"{what}: MultiPL-E", ours, multipl_e, "CPU s", against=way),
    ]


def _identical(problem: Job, options: Options) -> list[Row]:
    """Equal candidates in one batch, and as requests at the same time; with a cache of verdicts, as it is by default.

    Without one, a request that arrives after all others are answered would be judged anew.
    """
    with (
        tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as cache,
        controller(options.workers, "--cache", cache) as ours,
        SandboxClient(ours.url) as client,
    ):
        cases = enumerate(itertools.product(_EQUAL_TEXTS, _EQUAL_WAYS))
        return [_equal(ours, client, _in_form(problem, "test_cases"), at, *case) for at, case in cases]


def _equal(ours: Controller, client: SandboxClient, job: Job, number: int, text: str, way: str) -> Row:
    code = at_the_beginning(job.code, f"int identical_{number} = 0;")
    remarks = [f"// {at}\n" if text == _EQUAL_TEXTS[1] else "" for at in range(_EQUAL)]
    jobs = [replace(job, id=str(at), code=remark + code) for at, remark in enumerate(remarks)]
    before = ours.metric("sandbox_compiles_total")
    with ThreadPoolExecutor(_EQUAL) as pool:
        results = client.batch_verify(jobs) if way == _EQUAL_WAYS[0] else list(pool.map(client.verify, jobs))
    compiled = ours.metric("sandbox_compiles_total") - before
    verdicts = {result.verdict for result in results}
    ok = compiled == 1 and verdicts == {"AC"}
    what = f"compilations of {_EQUAL} identical candidates, {text}, {way}"
    return Row(_NAME, what, f"{compiled:g}", bar="1", ok=ok, notes="" if ok else f"verdicts {verdicts}")
