"""What long sampling jobs share: a progress line and files that are committed once.

Belongs here: create-only files, `result.json`, progress to stderr and to Dagster Pipes.
Does not belong here: what is sampled (`sample`) or merged (`merge`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl
from dagster_pipes import PipesContext, PipesEnvVarParamsLoader, open_dagster_pipes

RESULT = "result.json"
EVERY_SECONDS = 5.0


class Progress:
    """Context manager that reports "done of total" every few seconds."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self._started = self._reported = time.monotonic()
        self._pipes: PipesContext | None = None

    def __enter__(self) -> Progress:
        if PipesEnvVarParamsLoader().is_dagster_pipes_process():  # type: ignore[no-untyped-call]
            self._pipes = open_dagster_pipes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipes is not None:
            self._pipes.__exit__(kind, error, trace)

    def report(self, done: int, facts: str) -> None:
        """One line, when the last is old enough or everything is done."""
        now = time.monotonic()
        if done < self.total and now - self._reported < EVERY_SECONDS:
            return
        self._reported = now
        eta = (now - self._started) / max(done, 1) * (self.total - done)
        self.say(f"{done}/{self.total} {facts} eta {eta:.0f}s")

    def say(self, text: str) -> None:
        """A line for people, and a log event where Dagster listens."""
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)
        if self._pipes is not None:
            self._pipes.log.info(text)


def commit_file(partial: Path, target: Path) -> None:
    """Put a finished file in place, once: no reader sees half of it, and no second writer replaces it.

    Raises
    ------
    FileExistsError
        When the target is there already.
    """
    try:
        os.link(partial, target)
    finally:
        partial.unlink()


def commit_json(value: Mapping[str, Any], target: Path) -> None:
    """Write JSON create-only (see `commit_file`)."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    commit_file(partial, target)


def commit_parquet(frame: pl.DataFrame, target: Path, metadata: Mapping[str, str]) -> None:
    """Write a parquet file create-only, with strings of `metadata` in its footer."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    frame.write_parquet(partial, metadata=dict(metadata))
    commit_file(partial, target)


def start_output(output: Path, identity: Mapping[str, Any], overwrite: bool) -> None:
    """Prepare an output folder: new, or one of the same job that was interrupted.

    Raises
    ------
    FileExistsError
        When the folder is finished and `overwrite` is not set, or its parts are of another job.
    """
    if (output / RESULT).exists() and not overwrite:
        raise FileExistsError(f"{output} is finished; give --overwrite to do it again, or another --output")
    shards = output / "shards"
    if overwrite:
        for old in [output / RESULT, *output.glob("*.parquet"), *shards.glob("*")]:
            old.unlink(missing_ok=True)
    shards.mkdir(parents=True, exist_ok=True)
    name = shards / "job.json"
    if not name.exists():
        commit_json(identity, name)
    elif json.loads(name.read_text(encoding="utf-8")) != json.loads(json.dumps(identity)):
        raise FileExistsError(f"{shards} holds parts of a job with other settings; give --overwrite to drop them")
