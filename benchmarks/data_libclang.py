"""Our (documentation, function) pairs and our joins against libclang, on real trees.

libclang compiles what the pipeline only parses: it knows every macro, overload and include, and says which comment
belongs to which declaration and which declaration to which definition. It is the reference where the two can be
compared; what they cannot know of each other is set aside, counted and named (`libclang_pairs`, `libclang_joins`).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.corpora import corpora, not_run, peer_python
from benchmarks.common.libclang import TREES, SeenFile, judged_files, read_tree
from benchmarks.common.libclang_joins import JudgedJoins, judge_joins
from benchmarks.common.libclang_ours import functions_of, joins_of, macros_of, texts
from benchmarks.common.libclang_pairs import Difference, Judged, judge
from benchmarks.common.rows import Options, Row

_NAME = "data_libclang"
_RECALL, _PRECISION, _EACH = 0.97, 0.98, 0.96
_CORRECT, _FOUND = 0.98, 0.95
_FILES, _QUICK_FILES = 100, 4
_QUICK_TREES = ("leveldb", "fmt", "spdlog")
_SHOWN = 3


def run(options: Options) -> list[Row]:
    """Recall and precision of pairs, correct and found joins, for each tree and over all."""
    python = peer_python(options, "libclang")
    chosen = options.size(tuple(TREES), _QUICK_TREES)
    trees = {name: folder for name, folder in corpora(options).items() if name in chosen}
    if python is None or not trees:
        return [
            not_run(
                _NAME, "pairs and joins", "give --corpora and --peers with PEERS/libclang; see scripts/bench-corpora"
            )
        ]
    pairs: dict[str, Judged] = {}
    joins: dict[str, JudgedJoins] = {}
    seen: dict[str, list[SeenFile]] = {}
    for name, folder in trees.items():
        files = judged_files(TREES[name], folder, options.size(_FILES, _QUICK_FILES))
        seen[name] = read_tree(python, TREES[name], folder, files, options.workers)
        pairs[name], joins[name] = _compare(folder.resolve(), seen[name])
    return [*_pair_rows(pairs, seen), *_join_rows(joins)]


def _compare(folder: Path, seen: Sequence[SeenFile]) -> tuple[Judged, JudgedJoins]:
    macros, judged = macros_of(folder), texts(seen)
    functions = functions_of(judged, macros)
    return judge(judged, functions), judge_joins(judged, joins_of(folder, functions, macros))


def _pair_rows(pairs: Mapping[str, Judged], seen: Mapping[str, Sequence[SeenFile]]) -> list[Row]:
    rows = [
        Row(
            _NAME,
            f"pairs, {name}",
            f"recall {p.recall:.4f}, precision {p.precision:.4f}",
            f"{p.theirs} pairs, ours {p.ours}",
            bar=f">= {_EACH} each",
            ok=min(p.recall, p.precision) >= _EACH,
            notes=_notes(p, seen[name]),
            details=_kinds(p.differences),
        )
        for name, p in pairs.items()
    ]
    recall = statistics.mean(p.recall for p in pairs.values())
    precision = statistics.mean(p.precision for p in pairs.values())
    return [
        *rows,
        Row(
            _NAME,
            f"pairs, mean of {len(pairs)} trees",
            f"recall {recall:.4f}, precision {precision:.4f}",
            bar=f">= {_RECALL}, {_PRECISION}",
            ok=recall >= _RECALL and precision >= _PRECISION,
        ),
    ]


def _notes(p: Judged, seen: Sequence[SeenFile]) -> str:
    broken = sum(s.errors > 0 for s in seen)
    return (
        f"{len(seen)} files, {broken} left out with errors for libclang; {sum(s.cpu_seconds for s in seen):.0f} CPU s; "
        f"{p.shorter} comments begin later than libclang's; set aside: {_counts(p.aside)}"
    )


def _join_rows(joins: Mapping[str, JudgedJoins]) -> list[Row]:
    rows = [_join_row(f"joins, {name}", j) for name, j in joins.items() if j.joined or j.joinable]
    whole = JudgedJoins(*(sum(getattr(j, n) for j in joins.values()) for n in _COUNTS))
    correct, found = whole.correct / max(1, whole.joined), whole.found / max(1, whole.joinable)
    holds = correct >= _CORRECT and found >= _FOUND
    return [*rows, _join_row(f"joins, all of {len(joins)} trees", whole, f">= {_CORRECT}, {_FOUND}", holds)]


_COUNTS = ("joined", "correct", "joinable", "found")


def _join_row(what: str, j: JudgedJoins, bar: str = "", holds: bool | None = None) -> Row:
    shares = f"correct {j.correct / max(1, j.joined):.4f}, found {j.found / max(1, j.joinable):.4f}"
    counts = f"{j.correct} of {j.joined} correct, {j.found} of {j.joinable} found"
    notes = f"set aside: {_counts(j.aside)}" if j.aside else ""
    return Row(_NAME, what, shares, counts, bar=bar, ok=holds, notes=notes, details=_kinds(j.differences))


def _counts(aside: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in aside.most_common()) or "nothing"


def _kinds(differences: Sequence[Difference]) -> list[str]:
    """Each kind with its number and its first places."""
    kinds = Counter(d.kind for d in differences)
    places = {kind: [d.place for d in differences if d.kind == kind][:_SHOWN] for kind in kinds}
    return [f"{kind}: {count}, as in {', '.join(places[kind])}" for kind, count in kinds.most_common()]
