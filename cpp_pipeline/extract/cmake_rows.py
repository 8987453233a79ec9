"""CMake rows of a dump: each self-contained CMakeLists.txt, put into words and judged.

Belongs here: choosing files, gathering the sources they name, and joining the verdicts.
Does not belong here: reading CMake (`cmake_facts`) or running it (`sandbox`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

import polars as pl

from cpp_pipeline.extract.cmake_facts import facts, instruction
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult
from cpp_pipeline.schemas import TABLES

MAX_BYTES = 4096
MAX_ROWS_A_REPO = 50
MAX_SOURCES_BYTES = 400_000


class CMakeJudge(Protocol):
    """Configures (and builds) a project; `SandboxClient` is one."""

    def cmake(self, job: CMakeJob) -> CMakeResult:
        """Judge one project."""
        ...


def cmake_rows(clean_files: pl.LazyFrame, dump: str, judge: CMakeJudge) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Judge the CMakeLists.txt files of a dump.

    Returns
    -------
    tuple
        `cmake_sft` and `cmake_sft_quarantine`. At most 50 files of a repository are taken, since
        one repository with many examples would fill the set.
    """
    rows: list[dict[str, Any]] = []
    bad: list[dict[str, str]] = []
    for listing in _listings(clean_files):
        _judge(listing, dump, judge, clean_files, rows, bad)
    return TABLES["cmake_sft"].frame(rows), TABLES["cmake_sft_quarantine"].frame(bad)


def _listings(clean_files: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    lists = (
        clean_files.filter(pl.col("language") == "cmake", pl.col("path").str.ends_with("CMakeLists.txt"))
        .sort("repo", "path")
        .with_columns(pl.int_range(pl.len()).over("repo").alias("rank"))
        .filter(pl.col("rank") < MAX_ROWS_A_REPO)
        .select("repo", "path", "content", "licence")
        .collect()
    )
    yield from lists.iter_rows(named=True)


def _judge(
    listing: dict[str, Any],
    dump: str,
    judge: CMakeJudge,
    files: pl.LazyFrame,
    rows: list[dict[str, Any]],
    bad: list[dict[str, str]],
) -> None:
    where = f"{listing['repo']}:{listing['path']}"
    text: str = listing["content"]
    found = facts(text)

    def refuse(reason: str, detail: str) -> None:
        bad.append({"row_id": where, "reason": reason, "detail": detail, "text": text[:2000]})

    if len(text.encode()) > MAX_BYTES:
        return refuse("too big", f"{len(text.encode())} bytes; at most {MAX_BYTES} are taken as one answer")
    if not found.project or not found.targets:
        return refuse("not self-contained", "no project() or no target")
    folder = listing["path"].rpartition("/")[0]
    sources = _sources(files, listing["repo"], folder)
    names = [s["path"] for s in sources]
    packages = [{"package": p, "target": t} for p, t in found.package_targets]
    identity = hashlib.sha256(f"{dump}\0{where}".encode()).hexdigest()[:24]
    result = judge.cmake(CMakeJob(id=identity, cmake=text, files=sources, packages=packages, build=False))
    if result.error is not None:
        return refuse("sandbox error", result.error)
    if not result.configure_ok:
        return refuse(f"failed at {result.stage}", result.message[:500])
    rows.append(
        {
            "row_id": identity,
            "dump": dump,
            "repo": listing["repo"],
            "path": listing["path"],
            "licence": listing["licence"],
            "instruction": instruction(found, names),
            "response": text,
            "stage": result.stage,
            "configure_ok": result.configure_ok,
            "build_ok": result.build_ok,
            "targets": list(result.targets),
        }
    )
    return None


def _sources(files: pl.LazyFrame, repo: str, folder: str) -> list[dict[str, str]]:
    """The files beside and below a CMakeLists.txt, relative to it, up to a total size."""
    prefix = f"{folder}/" if folder else ""
    below = (
        files.filter(pl.col("repo") == repo, pl.col("path").str.starts_with(prefix))
        .select(pl.col("path").str.slice(len(prefix)), "content")
        .filter(pl.col("path") != "CMakeLists.txt")
        .sort("path")
        .filter(pl.col("content").str.len_bytes().cum_sum() <= MAX_SOURCES_BYTES)
        .collect()
    )
    return below.to_dicts()
