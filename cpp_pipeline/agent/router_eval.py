"""Measure a router on the phrasings that it has not seen.

    python -m cpp_pipeline.agent.router_eval --data router_sft.parquet --checkpoint_path DIR --output DIR

Belongs here: routing of the eval rows and the counts. Does not belong here: intervals, plots (`evaluation`).
Writes `rows.parquet` (one eval row a line) and, last and create-only, `result.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.agent.functiongemma import parse
from cpp_pipeline.agent.results import finish, refuse_finished
from cpp_pipeline.agent.router import Decision, Router, Routes
from cpp_pipeline.agent.tools import NO_TOOL, ToolError, validate

_ATTACHED = re.compile(r"\nAttached: ((?:\$[a-z0-9_]+ ?)*)<end_of_turn>\n<start_of_turn>model\n\Z")
SCHEMA = pl.Schema(
    {
        "row_id": pl.String(),
        "template_id": pl.String(),
        "utterance": pl.String(),
        "tool": pl.String(),
        "predicted": pl.String(),
        "confidence": pl.Float64(),
        "tool_ok": pl.Boolean(),
        "parse_ok": pl.Boolean(),
        "arguments_ok": pl.Boolean(),
        "expected": pl.String(),
        "answer": pl.String(),
    }
)


def handles_of(prompt: str) -> list[str]:
    """The handles that a prompt of `router_sft` lists.

    Raises
    ------
    ValueError
        When the prompt does not end in a list of handles.
    """
    found = _ATTACHED.search(prompt)
    if found is None:
        raise ValueError(f"not a router prompt: it ends in {prompt[-80:]!r}")
    return found[1].split()


def judge(row: dict[str, Any], decision: Decision) -> dict[str, Any]:
    """Compare a decision with the row's right call.

    `parse_ok`: the text reads back as exactly one valid call (or as none, where none was made).
    `arguments_ok`: right tool, and every argument equal.
    """
    parsed = parse(decision.text)
    parse_ok = not parsed.errors and len(parsed.calls) == (0 if decision.call is None else 1)
    if decision.call is not None and parse_ok:
        try:
            validate(parsed.calls[0])
        except ToolError:
            parse_ok = False
    given = dict(decision.call.arguments) if decision.call else {}
    tool_ok = decision.tool == row["tool"]
    return {
        **{k: row[k] for k in ("row_id", "template_id", "utterance", "tool")},
        "predicted": decision.tool,
        "confidence": decision.confidence,
        "tool_ok": tool_ok,
        "parse_ok": parse_ok,
        "arguments_ok": tool_ok and given == json.loads(row["arguments"]),
        "expected": row["response"],
        "answer": decision.text,
    }


def evaluate(router: Routes, data: pl.LazyFrame, limit: int | None = None) -> pl.DataFrame:
    """Route the eval rows of `router_sft`, at most `limit` of them."""
    rows = data.filter(pl.col("split") == "eval").sort("row_id")
    rows = rows.head(limit) if limit is not None else rows
    out = []
    for row in rows.collect().iter_rows(named=True):
        out.append(judge(row, router.route(row["utterance"], handles_of(row["prompt"]))))
    return pl.DataFrame(out, schema=SCHEMA)


def counts(rows: pl.DataFrame) -> dict[str, Any]:
    """Counts for result.json: overall, and by the right tool."""
    by_tool = {
        tool: {"n": len(part), "tool_ok": int(part["tool_ok"].sum()), "exact": int(part["arguments_ok"].sum())}
        for (tool,), part in sorted(rows.group_by("tool"))
    }
    calls = rows.filter(pl.col("tool") != NO_TOOL)
    return {
        "n": len(rows),
        "tool_ok": int(rows["tool_ok"].sum()),
        "parse_ok": int(rows["parse_ok"].sum()),
        "calls": len(calls),
        "arguments_ok": int(calls["arguments_ok"].sum()),
        "by_tool": by_tool,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.agent.router_eval", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="router_sft.parquet")
    parser.add_argument("--checkpoint_path", type=Path, required=True, help="router checkpoint")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=200, help="eval rows at most")
    parser.add_argument("--seed", type=int, default=0, help="unused: decoding is greedy")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    refuse_finished(args.output)
    import torch

    torch.set_num_threads(args.threads)
    started = time.process_time()
    rows = evaluate(Router(args.checkpoint_path), pl.scan_parquet(args.data), args.limit)
    if rows.is_empty():
        raise ValueError(f"{args.data}: no row with split 'eval'; materialize `router_sft` again")
    finish(args.output, "router_eval", rows, counts(rows), time.process_time() - started)


if __name__ == "__main__":
    main()
