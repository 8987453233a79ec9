"""Reports of single evaluations: metrics.json for machines, index.html for people.

Belongs here: which figures an evaluation has, and how they are shown. Does not belong here: sampling and judging
(`rollouts.sample`, `cmake_eval`), the page over all stages (`model_page`), markup (`page`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.corpus.fim import stable_seed
from cpp_pipeline.evaluation import page
from cpp_pipeline.evaluation.codebleu import best_codebleu
from cpp_pipeline.evaluation.estimators import (
    Estimate,
    mean_with_interval,
    paired_difference,
    per_problem_pass,
    problem_counts,
    wilson,
)
from cpp_pipeline.schemas import VERDICTS

Metrics = dict[str, dict[str, Any]]
SHOWN_PROBLEMS = 6
_STOPPED = ("RE", "TLE", "MLE", "OLE")


def code_report(
    name: str,
    solutions_path: Path,
    greedy_path: Path | None,
    problems_path: Path,
    out: Path,
    previous: Sequence[tuple[str, Path]] = (),
) -> Metrics:
    """Report on one checkpoint's judged samples.

    Parameters
    ----------
    solutions_path, greedy_path
        Tables of pass_k_solutions from `rollouts.sample`; greedy_path may be missing.
    problems_path
        The problems that were sampled.
    previous
        (name, solutions_path) of evaluations of the same problems to compare with, by paired bootstrap.

    Returns
    -------
    dict
        Metric -> {value, low, high, n}; also written to out/metrics.json. A difference to an earlier
        evaluation is called "pass@1 - NAME". Where the problems come from several sources, "pass@1 (SOURCE)"
        tells them apart.

    Raises
    ------
    ValueError
        When no sample was judged, or two compared evaluations share no problem.
    """
    solutions = pl.scan_parquet(solutions_path)
    greedy = pl.scan_parquet(greedy_path) if greedy_path is not None and greedy_path.exists() else None
    problems = pl.scan_parquet(problems_path)
    counts = problem_counts(solutions)
    if not counts:
        raise ValueError(f"{solutions_path}: no sample was judged, so there is nothing to report")
    first = per_problem_pass(counts, 1)
    metrics: dict[str, Estimate] = {"pass@1": mean_with_interval(list(first.values()))}
    k = min(n for n, _ in counts.values())
    if k > 1:
        metrics[f"pass@{k}"] = mean_with_interval(list(per_problem_pass(counts, k).values()))
    if greedy is not None:
        metrics["greedy"] = mean_with_interval(list(per_problem_pass(problem_counts(greedy), 1).values()))
    metrics["compile_rate"] = mean_with_interval(_compile_shares(solutions))
    scores = _codebleu(solutions if greedy is None else greedy, problems)
    if scores:
        metrics["codebleu"] = mean_with_interval(scores)
    by_source = _by_source(problems, first)
    for source, passes in by_source.items():
        metrics[f"pass@1 ({source})"] = mean_with_interval(list(passes.values()))
    for earlier, path in previous:
        before = per_problem_pass(problem_counts(pl.scan_parquet(path)), 1)
        metrics[f"pass@1 - {earlier}"] = paired_difference(first, before)
        for source, passes in by_source.items():
            metrics[f"pass@1 ({source}) - {earlier}"] = paired_difference(passes, before)
    found = _write_metrics(metrics, out)
    body = _code_page(found, solutions, greedy, problems, list(first.values()))
    (out / "index.html").write_text(page.page(name, *body), encoding="utf-8")
    return found


def _by_source(problems: pl.LazyFrame, passes: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The passes of each source's problems, sources by name."""
    sources = dict(problems.select("problem_id", "source").sort("source", "problem_id").collect().iter_rows())
    found: dict[str, dict[str, float]] = {}
    for problem, source in sources.items():
        if problem in passes:
            found.setdefault(source, {})[problem] = passes[problem]
    return found


def _compile_shares(solutions: pl.LazyFrame) -> list[float]:
    count = pl.col("count")
    rows = (
        solutions.filter(pl.col("error").is_null())
        .group_by("problem_id")
        .agg(share=count.filter(pl.col("compile_ok")).sum() / count.sum())
        .sort("problem_id")
    )
    return [float(v) for v in rows.collect()["share"]]


def _codebleu(solutions: pl.LazyFrame, problems: pl.LazyFrame) -> list[float]:
    """One score a problem: its first sample against the closest reference."""
    known = problems.filter(pl.col("references").list.len() > 0).select("problem_id", "references")
    rows = solutions.sort("sample_id").unique("problem_id", keep="first").join(known, on="problem_id")
    pairs = rows.sort("problem_id").select("code", "references").collect()
    return [best_codebleu(code, references) for code, references in pairs.iter_rows()]


def funnel(solutions: pl.LazyFrame) -> dict[str, int]:
    """Samples that came at least this far, from all to accepted."""
    count, verdict = pl.col("count"), pl.col("verdict")
    compiled = pl.col("error").is_null() & pl.col("compile_ok")
    stages = {
        "sampled": pl.lit(True),
        "judged": pl.col("error").is_null(),
        "compiled": compiled,
        "ended by itself": compiled & ~verdict.is_in(_STOPPED),
        "passed a test": compiled & (pl.col("tests_passed") > 0),
        "passed all tests": verdict == "AC",
    }
    row = solutions.select(count.filter(rule).sum().alias(stage) for stage, rule in stages.items()).collect()
    return {stage: int(n) for stage, n in row.row(0, named=True).items()}


def _code_page(
    metrics: Metrics,
    solutions: pl.LazyFrame,
    greedy: pl.LazyFrame | None,
    problems: pl.LazyFrame,
    pass_rates: Sequence[float],
) -> list[str]:
    verdicts = dict(solutions.group_by("verdict").agg(pl.col("count").sum()).collect().iter_rows())
    shown = {v: verdicts[v] for v in VERDICTS if v in verdicts}
    if None in verdicts:
        shown["no verdict"] = verdicts[None]
    levels = {m: v for m, v in metrics.items() if " - " not in m}
    differences = {m: v for m, v in metrics.items() if " - " in m}
    blocks = [
        page.note(
            "Held-out problems; samples at the temperature of the run. Intervals: 95 %, bootstrap over problems. "
            "CodeBLEU is this project's own variant, on one answer a problem."
        ),
        page.metrics_table(metrics),
        page.points("Scores with 95 % intervals", "share (CodeBLEU: score)", levels),
    ]
    if differences:
        blocks.append(page.points("Paired differences of pass@1", "difference", differences, zero_line=True))
    blocks += [
        page.bars("How far the samples come", "samples", funnel(solutions)),
        page.bars("Verdicts", "samples", shown),
        page.histogram("Problems by share of samples that pass", "share of samples", "problems", pass_rates),
        page.heading("Samples"),
        *_examples(solutions if greedy is None else greedy, problems),
    ]
    return blocks


def _examples(solutions: pl.LazyFrame, problems: pl.LazyFrame) -> list[str]:
    rows = solutions.join(problems.select("problem_id", "instruction"), on="problem_id").collect().to_dicts()
    rows.sort(key=lambda r: (stable_seed("example", r["solution_id"]), r["solution_id"]))
    return [
        page.note(f"{r['problem_id']}: {r['instruction']}")
        + page.code(f"{r['verdict'] or 'no verdict'}, {r['tests_passed']} of {r['tests_total']} tests", r["code"])
        for r in rows[:SHOWN_PROBLEMS]
    ]


def cmake_report(name: str, samples: Path, out: Path) -> Metrics:
    """Report on the folder that `cmake_eval` wrote: rows.parquet and result.json."""
    rows = pl.read_parquet(samples / "rows.parquet").filter(pl.col("error").is_null())
    if rows.is_empty():
        raise ValueError(f"{samples}: no answer was judged, so there is nothing to report")
    metrics: dict[str, Estimate] = {}
    greedy, sampled = rows.filter("greedy"), rows.filter(~pl.col("greedy"))
    for column in ("configure_ok", "targets_exact"):
        if not greedy.is_empty():
            metrics[f"greedy_{column}"] = wilson(int(greedy[column].sum()), len(greedy))
    for column in ("configure_ok", "targets_f1", "targets_exact"):
        means = (sampled if not sampled.is_empty() else greedy).group_by("problem_id").agg(pl.col(column).mean())
        metrics[column] = mean_with_interval(means.sort("problem_id")[column].to_list())
    found = _write_metrics(metrics, out)
    stages = rows.group_by("stage").len().sort("len", descending=True)
    examples = [
        page.code(f"{r['problem_id']}: {r['stage']}, targets F1 {r['targets_f1']:.2f}", r["response"])
        for r in greedy.head(SHOWN_PROBLEMS).to_dicts()
    ]
    body = [
        page.note("Held-out generated projects, configured by a real cmake. Intervals: 95 %."),
        page.metrics_table(found),
        page.points("Scores with 95 % intervals", "share", found),
        page.bars("Furthest stage reached", "answers", dict(stages.iter_rows())),
        page.heading("Greedy answers"),
        *examples,
    ]
    (out / "index.html").write_text(page.page(name, *body), encoding="utf-8")
    return found


def tally_report(
    name: str,
    counts: Mapping[str, tuple[int, int]],
    out: Path,
    explanation: str,
    rows: pl.DataFrame | None = None,
) -> Metrics:
    """Report on proportions: metric -> (successes, n), with Wilson intervals; `rows` show the first cases."""
    found = _write_metrics({metric: wilson(*pair) for metric, pair in counts.items() if pair[1] > 0}, out)
    if not found:
        raise ValueError(f"{name}: nothing was counted, so there is nothing to report")
    body = [page.note(explanation), page.metrics_table(found), page.points("Proportions", "share", found)]
    if rows is not None:
        body += [page.heading("Cases"), page.table(rows.columns, list(rows.head(40).iter_rows()))]
    (out / "index.html").write_text(page.page(name, *body), encoding="utf-8")
    return found


def router_report(name: str, samples: Path, out: Path) -> Metrics:
    """Report on the folder that the router's evaluation wrote (rows.parquet, result.json)."""
    facts = _result(samples)["metrics"]
    counts = {
        "routing": (facts["tool_ok"], facts["n"]),
        "parses": (facts["parse_ok"], facts["n"]),
        "arguments_exact": (facts["arguments_ok"], facts["calls"]),
    }
    counts.update({f"routing: {t}": (c["tool_ok"], c["n"]) for t, c in sorted(facts["by_tool"].items())})
    rows = pl.read_parquet(samples / "rows.parquet").sort("tool_ok", "arguments_ok", "row_id")
    columns = ["utterance", "tool", "predicted", "tool_ok", "arguments_ok"]
    text = "Requests in phrasings that training did not see. Intervals: 95 %, Wilson. Failures come first."
    return tally_report(name, counts, out, text, rows.select(columns))


def agent_report(name: str, samples: Path, out: Path) -> Metrics:
    """Report on the folder that the agent's evaluation wrote: every yes/no column of rows.parquet is a metric."""
    rows = pl.read_parquet(samples / "rows.parquet")
    flags = [c for c, dtype in rows.schema.items() if dtype == pl.Boolean]
    judged = {f: rows[f].drop_nulls() for f in flags}
    counts = {f: (int(values.sum()), len(values)) for f, values in judged.items()}
    short = rows.with_columns(pl.col(pl.String).str.slice(0, 200))
    text = "End-to-end tasks: route, act, verify, refine. Intervals: 95 %, Wilson."
    return tally_report(name, counts, out, text, short)


def _result(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "result.json").read_text(encoding="utf-8")))


def _write_metrics(metrics: Mapping[str, Estimate], out: Path) -> Metrics:
    found: Metrics = {name: dict(m.to_json()) for name, m in metrics.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found
