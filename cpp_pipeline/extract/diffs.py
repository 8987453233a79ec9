"""Commits to repairs: one function before and after, with what the message asks for.

Belongs here: from the file pairs of commits to `diff_sft`, a commit at a time.
Does not belong here: reading git (`dumps/commits.py`), the rules (`released.py`), redaction (`curate/`).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.extract.candidates import candidate, with_change
from cpp_pipeline.extract.lexer import tokens
from cpp_pipeline.extract.macros import MacroDefinitions
from cpp_pipeline.extract.messages import beside_the_code, unusable
from cpp_pipeline.extract.pieces import Piece, pieces
from cpp_pipeline.extract.released import CANDIDATES, released
from cpp_pipeline.extract.repairs import record_candidates
from cpp_pipeline.extract.rows import stable_id, windows
from cpp_pipeline.extract.touched import Comparison, compare

SUPERSEDED_SECONDS = 14 * 86_400
_MAX_REMEMBERED = 64_000_000
_EVERY = 16
_AT_ONCE = 50
_TEXT_BYTES = pl.col("before").str.len_bytes() + pl.col("after").str.len_bytes()


class _Later:
    """What newer commits changed, as far back as a change can supersede another; bounded in characters."""

    def __init__(self) -> None:
        self._changes: deque[tuple[tuple[str, str], int, list[Piece]]] = deque()
        self._of_file: dict[tuple[str, str], deque[tuple[int, list[Piece]]]] = defaultdict(deque)
        self._characters = 0

    def add(self, file: tuple[str, str], time: int, changed: list[Piece]) -> None:
        """Remember one file of a commit; commits come newest first."""
        self._changes.append((file, time, changed))
        self._of_file[file].append((time, changed))
        self._characters += _characters(changed)
        while self._changes and (self._characters > _MAX_REMEMBERED or self._changes[0][1] > time + SUPERSEDED_SECONDS):
            oldest, _, dropped = self._changes.popleft()
            self._of_file[oldest].popleft()
            self._characters -= _characters(dropped)

    def seconds(self, file: tuple[str, str], time: int, code: str) -> int | None:
        """Time until the tokens of `code` were changed, if that was within the limit."""
        wanted = _joined(code)
        for later, changed in reversed(self._of_file[file]):
            if later - time <= SUPERSEDED_SECONDS and any(
                wanted in _joined(p.before) and wanted not in _joined(p.after) for p in changed
            ):
                return max(0, later - time)
        return None


def _joined(code: str) -> str:
    return " ".join(tokens(code))


def _characters(changed: list[Piece]) -> int:
    return sum(len(p.before) + len(p.after) for p in changed)


def _macros(commits: pl.LazyFrame) -> dict[str, tuple[str, ...]]:
    """Repository -> macros to blank, from every 16th state of each file: most definitions stay for years."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[str, MacroDefinitions] = defaultdict(MacroDefinitions)
    for batch in commits.select("repo", "path", "after").collect_batches(chunk_size=_AT_ONCE, maintain_order=True):
        for number, (repo, path) in enumerate(batch.select("repo", "path").iter_rows()):
            if seen[repo, path] % _EVERY == 0:
                found[repo].add(batch["after"][number])
            seen[repo, path] += 1
    return {repo: definitions.transparent() for repo, definitions in found.items()}


def _candidates(commits: pl.LazyFrame, dump: str) -> Iterator[dict[str, Any]]:
    macros = _macros(commits)
    repo, later = "", _Later()
    read = chain.from_iterable(window.collect().iter_rows(named=True) for window in windows(commits, _TEXT_BYTES))
    for (of, _commit), rows in groupby(read, key=lambda r: (r["repo"], r["commit"])):
        if of != repo:
            repo, later = of, _Later()
        files = list(rows)
        found = [pieces(f["before"], f["after"]) for f in files]
        yield _candidate(files, found, dump, macros[repo], later)
        for file, changed in zip(files, found, strict=True):
            later.add((repo, file["path"]), file["time"], changed)


def _candidate(
    files: list[dict[str, Any]], found: list[list[Piece]], dump: str, macros: tuple[str, ...], later: _Later
) -> dict[str, Any]:
    first, paths = files[0], [f["path"] for f in files]
    row = candidate(
        row_id=stable_id(dump, first["repo"], first["commit"]),
        dump=dump,
        repo=first["repo"],
        commit=first["commit"],
        paths=paths,
        licence=first["licence"],
        origin="commit",
        message=first["message"],
        beside=beside_the_code(paths),
        unusable=unusable(first["message"]),
    )
    if row["unusable"] is not None:
        return row
    compared: list[Comparison] = []
    for file, places in zip(files, found, strict=True):
        compared.append(compare(file["before"], file["after"], places, macros))
        if compared[-1].appearing or sum(len(c.changed) for c in compared) > 1:
            break
    row = with_change(row, compared)
    if row["after"] is None:
        return row
    file = next(f for f, c in zip(files, compared, strict=True) if c.changed)
    return row | {
        "path": file["path"],
        "licence": file["licence"],
        # A file of the commit that could not be read may have changed in any way.
        "has_residue": row["has_residue"] or len(files) != first["n_files"],
        "superseded_seconds": later.seconds((first["repo"], file["path"]), first["time"], row["after"]),
    }


def diff_pairs(
    commits: pl.LazyFrame, repairs: pl.LazyFrame, dump: str, scratch: Path
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Commits and records that repair exactly one function, and the others with their reasons.

    Parameters
    ----------
    commits
        Rows of `commits`, newest first; the files of one commit stand together. Read a commit at a time, after
        one pass for the macros.
    repairs
        Rows of `repairs`.
    dump
        Partition key, part of `row_id`.
    scratch
        Folder for the candidates; must outlive the frames.

    Returns
    -------
    diff_sft, diff_sft_quarantine
        The first still with repeated changes and without what redaction adds (`curate/repairs.py`). Reasons are
        those of `released.RULES`.
    """
    candidates = Spool(CANDIDATES, scratch / "diff_candidates.parquet")
    with candidates:
        for row in chain(_candidates(commits, dump), record_candidates(repairs, dump)):
            candidates.add(row)
    return released(candidates.scan())
