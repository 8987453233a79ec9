"""The same by TRL's `pack_dataset`: a worker of `corpus_packing`, run by an environment that holds TRL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from trl import pack_dataset

_held: dict[str, Any] = {}


def load(file: str) -> None:
    """Read `ids` and `ends` from FILE as an Arrow column, which TRL works on."""
    held = np.load(file)
    offsets = pa.array(np.concatenate(([0], held["ends"])), pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(held["ids"], pa.int32()))
    _held["documents"] = Dataset(pa.table({"input_ids": column}))


def in_memory(row_tokens: int, strategy: str) -> tuple[int, int]:
    """Rows, and tokens in them."""
    rows = pack_dataset(_held["documents"], row_tokens, strategy).with_format("arrow")["input_ids"]
    column = rows[:] if not isinstance(rows, pa.ChunkedArray) else rows
    return len(column), int(sum(len(chunk.flatten()) for chunk in column.chunks))


def on_disk(row_tokens: int, strategy: str, folder: str) -> int:
    """Packed and saved as datasets saves; bytes on disk."""
    shutil.rmtree(folder, ignore_errors=True)
    pack_dataset(_held["documents"], row_tokens, strategy).save_to_disk(folder)
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
