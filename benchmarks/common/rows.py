"""What a subject is given and what it returns.

Belongs here: options, rows, and the statistics that rows carry. Not here: how rows are shown (`report`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
NOT_RUN = "not run"
"""What stands in the place of a figure that lacks its data."""


@dataclass(frozen=True)
class Options:
    """What a run of the benchmark was asked for.

    `humaneval` is the JSONL file of HumanEval-X C++; `quick` means sizes that only show that a subject works.
    `corpora`, `histories` and `peers` are folders of source trees, of bare git repositories, and of the peers'
    environments, `nanochat` is a checkout of a peer that is in no registry; a subject that lacks what it needs says so.
    `repeats` replaces a subject's own number of turns.
    """

    humaneval: Path | None
    workers: int
    quick: bool = False
    seed: int = 0
    corpora: Path | None = None
    histories: Path | None = None
    peers: Path | None = None
    nanochat: Path | None = None
    repeats: int | None = None

    def size(self, full: T, quick: T) -> T:
        """The size for this run."""
        return quick if self.quick else full

    def turns(self, full: int, quick: int = 1) -> int:
        """How often ours and a peer are measured in turn."""
        return self.size(full, quick) if self.repeats is None else self.repeats


@dataclass(frozen=True)
class Row:
    """One measured figure.

    `ours` and `peer` carry their unit; `ratio` is peer over ours, more is better, `low` and `high` are its extremes
    over the turns and `least` is its bar. `ok` says whether the bar holds, None where there is none. `against` names
    the peer with its version. `details` are listed below the table.
    """

    subject: str
    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    spread: str = ""
    bar: str = ""
    ok: bool | None = None
    least: float | None = None
    notes: str = ""
    details: Sequence[str] = ()
    against: str = ""
    low: float | None = None
    high: float | None = None


def ratio_row(
    subject: str,
    what: str,
    ours: Sequence[float],
    peer: Sequence[float],
    unit: str,
    least: float | None = None,
    notes: str = "",
    against: str = "",
) -> Row:
    """A row from repeats that were measured in turn: medians, and the median of the ratios of each turn."""
    ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
    middle = statistics.median(ratios)
    return Row(
        subject,
        what,
        f"{statistics.median(ours):.3f} {unit}",
        f"{statistics.median(peer):.3f} {unit}",
        middle,
        f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} repeats",
        f">= {least:g}x" if least is not None else "",
        None if least is None else middle >= least,
        least,
        notes,
        against=against,
        low=min(ratios),
        high=max(ratios),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed (nearest rank)."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]
