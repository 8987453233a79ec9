"""The problems that come with the package: own texts on strings, lists, numbers and maps.

Belongs here: reading `bundled.jsonl` (own format of `formats`) and the side of the split of each problem.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cpp_pipeline.problems.formats import own_row
from cpp_pipeline.problems.rows import Row

FILE = Path(__file__).with_name("bundled.jsonl")


def is_held_out(name: str) -> bool:
    """Whether a bundled problem belongs to evaluation: a third, fixed by the hash of its name."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


def bundled_problems() -> tuple[list[Row], list[Row]]:
    """Training and held-out rows, in the order of the file.

    Raises
    ------
    ValueError
        When the file is damaged; the message names its line.
    """
    train: list[Row] = []
    evaluation: list[Row] = []
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{FILE.name}:{number}"
        try:
            record = json.loads(line)
            row = own_row({"licence": "Apache-2.0", **record}, where, "bundled")
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        (evaluation if is_held_out(record["id"]) else train).append(row)
    return train, evaluation
