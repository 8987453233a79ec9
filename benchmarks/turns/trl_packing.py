"""The same by TRL's `pack_dataset`: a worker of `corpus_packing`, run by an environment that holds TRL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from trl import pack_dataset

_held: dict[str, Any] = {}


def load(file: str) -> None:
    """Read `ids` and `ends` from FILE: as lists of numbers, and as the Arrow column that TRL works on."""
    held = np.load(file)
    _held["lists"] = [part.tolist() for part in np.split(held["ids"], held["ends"][:-1])]
    offsets = pa.array(np.concatenate(([0], held["ends"])), pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(held["ids"], pa.int32()))
    _held["column"] = Dataset(pa.table({"input_ids": column}))


def tokens(row_tokens: int, strategy: str) -> tuple[int, int]:
    """Rows, and tokens in them."""
    rows = pack_dataset(_held["column"], row_tokens, strategy).with_format("arrow")[:]["input_ids"]
    return len(rows), sum(len(chunk.flatten()) for chunk in rows.chunks)


def in_memory(row_tokens: int, strategy: str) -> int:
    """Packed from the column; the number of rows."""
    return len(pack_dataset(_held["column"], row_tokens, strategy))


def on_disk(row_tokens: int, strategy: str, folder: str) -> None:
    """From lists of numbers to a saved dataset."""
    pack_dataset(Dataset.from_dict({"input_ids": _held["lists"]}), row_tokens, strategy).save_to_disk(folder)
