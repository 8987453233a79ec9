"""The end of a sampling job: its shards as one table, whether one command made them all or several made parts.

Belongs here: which shards a part makes, joining parts, `result.json`. Does not belong here: sampling (`sample`).
A problem's samples depend on the seed and its id alone, so that the parts together are what one command makes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.rollouts.job import RESULT, commit_json
from cpp_pipeline.rollouts.merge import merge, summary

Row = dict[str, Any]


def read_part(text: str) -> tuple[int, int]:
    """Read `I/N`: part I, from 0, of N.

    Raises
    ------
    ValueError
        There is no such part.
    """
    number, _, total = text.partition("/")
    if not (number.isdigit() and total.isdigit() and int(number) < int(total)):
        raise ValueError(f"{text!r} is no part: I/N with I from 0 to N - 1")
    return int(number), int(total)


def finish(output: Path, facts: Row) -> Row:
    """Merge the shards into solutions.parquet (and greedy.parquet) and write result.json last."""
    metrics: Row = {}
    for kind in ("greedy", "solutions"):
        paths = sorted((output / "shards").glob(f"{kind}-*.parquet"))
        if not paths and kind == "greedy":
            continue
        table = merge([pl.scan_parquet(p) for p in paths])
        partial = output / f".{kind}.{os.getpid()}"
        table.sink_parquet(partial)
        os.replace(partial, output / f"{kind}.parquet")
        found = summary(pl.scan_parquet(output / f"{kind}.parquet"))
        if kind == "greedy":
            metrics["greedy_pass@1"], metrics["greedy_errors"] = found["pass@1"], found["errors"]
        else:
            metrics.update(found)
        spent = sum(float(pl.read_parquet_metadata(p)["cpu_seconds"]) for p in paths)
        metrics["cpu_seconds"] = metrics.get("cpu_seconds", 0.0) + spent
    result = {**facts, **metrics, "metrics": metrics}
    commit_json(result, output / RESULT)
    return result


def finish_part(output: Path, facts: Row) -> Row:
    """Write result.json beside a part's shards; they are merged when all parts are there."""
    result = {**facts, "metrics": {"shards": len(list((output / "shards").glob("*.parquet")))}}
    commit_json(result, output / RESULT)
    return result


def join_parts(parts: Sequence[Path], output: Path) -> None:
    """Finish `output` from the finished folders of all parts; they are used up.

    Raises
    ------
    ValueError
        The parts are of different jobs.
    """
    facts = [json.loads((part / RESULT).read_text(encoding="utf-8")) for part in parts]
    for found in facts:
        found.pop("metrics")
    if any(found != facts[0] for found in facts):
        raise ValueError(f"the parts below {parts[0].parent} are of different jobs: remove them and sample again")
    (output / "shards").mkdir(parents=True, exist_ok=True)
    for shard in (s for part in parts for s in part.glob("shards/*")):
        os.replace(shard, output / "shards" / shard.name)
    finish(output, facts[0])
