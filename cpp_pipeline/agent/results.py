"""The folder that an evaluation script leaves behind.

Belongs here: `rows.parquet`, then `result.json`, last and create-only. Does not belong here: what is measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

ROWS, RESULT = "rows.parquet", "result.json"


def refuse_finished(folder: Path) -> None:
    """Make the folder.

    Raises
    ------
    FileExistsError
        When it already holds a finished result.
    """
    if (folder / RESULT).exists():
        raise FileExistsError(f"{folder / RESULT} exists: choose another --output or remove it")
    folder.mkdir(parents=True, exist_ok=True)


def finish(folder: Path, stage: str, rows: pl.DataFrame, metrics: Mapping[str, Any], cpu_seconds: float) -> None:
    """Write rows and result, each whole or not at all.

    Raises
    ------
    FileExistsError
        When another process has finished the same folder meanwhile.
    """
    part = folder / f".{ROWS}.part-{os.getpid()}"
    rows.write_parquet(part)
    os.replace(part, folder / ROWS)
    result = {"stage": stage, "metrics": dict(metrics), "cpu_seconds": round(cpu_seconds, 3)}
    scratch = folder / f".{RESULT}.part-{os.getpid()}"
    scratch.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    try:
        os.link(scratch, folder / RESULT)  # unlike a rename, fails when the target exists
    finally:
        scratch.unlink()
