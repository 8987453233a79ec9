"""A synthetic dump of three sizes through the stages of the pairs: CPU per MB, and the memory of every process.

The dump is made of real files (`--corpora`), copy by copy: in each copy every identifier outside comments, texts and
directives ends in the copy's own mark, so that no function is a duplicate, exact or near, of one in another copy;
repositories have names of their own. It is one JSONL file, written as a stream.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.corpora import corpora, not_run, sources
from benchmarks.common.processes import descendants, peak_gib
from benchmarks.common.rows import Options, Row

_NAME = "data_scale"
_SIZES_MB, _QUICK_MB = (50, 500, 5_000), (5, 20)
_MOST_GIB, _MOST_RATIO = 1.5, 1.25
_POLL_SECONDS = 0.25
_MARK = "\0"
_KEYWORDS = """
    alignas alignof and asm auto bool break case catch char char8_t char16_t char32_t class co_await co_return co_yield
    concept const const_cast consteval constexpr constinit continue decltype default define defined delete do double
    dynamic_cast elif else endif enum error explicit export extern false final float for friend goto if ifdef ifndef
    include inline int int8_t int16_t int32_t int64_t line long main mutable namespace new noexcept not nullptr operator
    or override pragma private protected public register reinterpret_cast requires return short signed size_t sizeof
    static static_assert static_cast std string struct switch template this thread_local throw true try typedef typeid
    typename uint8_t uint16_t uint32_t uint64_t undef union unsigned using vector virtual void volatile wchar_t while
"""
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|R\"(?P<raw>[^(\s]{0,16})\(.*?\)(?P=raw)\"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)+'"
    r"|^[ \t]*#[ \t]*(?:include|pragma|error|warning|line)\b[^\n]*|\b\d[\w.']*|(?P<name>[A-Za-z_]\w*)",
    re.M | re.S,
)


@dataclass(frozen=True)
class Measured:
    """One size: what went in, seconds, rows and GiB by stage, and the peaks of the process and of its children."""

    megabytes: float
    stages: Mapping[str, Mapping[str, float]]
    own_gib: float
    child_gib: float

    @property
    def cpu_per_mb(self) -> float:
        """CPU seconds a megabyte of all stages."""
        return sum(stage["seconds"] for stage in self.stages.values()) / self.megabytes


def run(options: Options) -> list[Row]:
    """A row a size, and one that compares the largest with the smallest."""
    trees = corpora(options)
    if not trees:
        return [not_run(_NAME, "a synthetic dump", "give source trees with --corpora; see scripts/bench-corpora")]
    found = [measured(trees, size, options.workers) for size in options.size(_SIZES_MB, _QUICK_MB)]
    return [*(_row(m) for m in found), _linear(found)]


def measured(trees: Mapping[str, Path], megabytes: float, workers: int) -> Measured:
    """Make a dump of a size, and take it through the stages in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "scale.jsonl"
        size = write_dump(trees, dump, int(megabytes * 1e6))
        command = [sys.executable, "-m", "benchmarks.common.scale_worker", str(dump), str(workers)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peaks: dict[int, float] = {}
        while worker.poll() is None:
            for pid in (worker.pid, *descendants(worker.pid)):
                peaks[pid] = max(peaks.get(pid, 0.0), peak_gib(pid))
            time.sleep(_POLL_SECONDS)
        assert worker.stdout is not None
        told = worker.stdout.read()
        if worker.returncode != 0:
            raise RuntimeError(f"the stages ended with status {worker.returncode} on {size / 1e6:.0f} MB")
        stages = json.loads(told)
        own = max(peaks[worker.pid], *(stage["gib"] for stage in stages.values()))
        return Measured(size / 1e6, stages, own, max((p for pid, p in peaks.items() if pid != worker.pid), default=0.0))


def write_dump(trees: Mapping[str, Path], file: Path, size_bytes: int) -> int:
    """Write records until their texts have `size_bytes`; returns the bytes of all texts."""
    written = 0
    with file.open("w", encoding="utf-8") as out:
        for record in renamed_files(trees):
            out.write(json.dumps(record) + "\n")
            written += len(record["content"].encode())
            if written >= size_bytes:
                break
    return written


def renamed_files(trees: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Copy after copy of all files, without end; the marked text of one copy is in memory."""
    marked = [
        (name, path.relative_to(top).as_posix(), _marked(path)) for name, top in trees.items() for path in sources(top)
    ]
    copy = 0
    while marked:
        for name, path, text in marked:
            content = text.replace(_MARK, f"_{copy:x}")
            yield {"content": content, "path": path, "repo": f"{name}-{copy}", "license": "MIT"}
        copy += 1


def _marked(path: Path) -> str:
    """A file's text with a mark behind each identifier that is to change."""
    keywords = frozenset(_KEYWORDS.split())
    text = path.read_text(encoding="utf-8", errors="replace").replace(_MARK, "")
    return _TOKEN.sub(lambda m: m[0] + _MARK if m["name"] and m["name"] not in keywords else m[0], text)


def _row(found: Measured) -> Row:
    peak = max(found.own_gib, found.child_gib)
    return Row(
        _NAME,
        f"{found.megabytes:,.0f} MB, from JSONL to distinct pairs",
        f"{found.cpu_per_mb:.3f} CPU s/MB; {peak:.2f} GiB",
        bar=f"<= {_MOST_GIB} GiB a process",
        ok=peak <= _MOST_GIB,
        notes=f"largest child {found.child_gib:.2f} GiB",
        details=[
            f"{name}: {stage['seconds'] / found.megabytes:.3f} CPU s/MB, {stage['gib']:.2f} GiB, {stage['rows']:,} rows"
            for name, stage in found.stages.items()
        ],
    )


def _linear(found: list[Measured]) -> Row:
    ratio = found[-1].cpu_per_mb / found[0].cpu_per_mb
    return Row(
        _NAME,
        f"CPU per MB at {found[-1].megabytes:,.0f} MB against {found[0].megabytes:,.0f} MB",
        f"{ratio:.2f}x",
        bar=f"<= {_MOST_RATIO}x",
        ok=ratio <= _MOST_RATIO,
    )
