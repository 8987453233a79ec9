"""Our side of the comparison with libclang: functions and joins of a source tree, from the steps of the pipeline.

Belongs here: reading the files and calling the steps. Not here: judging (`libclang_pairs.py`, `libclang_joins.py`).
Quality rules are not applied: what is compared is what is found, not what is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from benchmarks.common.corpora import sources
from benchmarks.common.libclang import SeenFile
from benchmarks.common.libclang_joins import Place
from benchmarks.common.libclang_pairs import Text
from cpp_pipeline.extract.functions import Function, complete, read_functions
from cpp_pipeline.extract.joining import Ambiguous, Candidate, Declarations, Graphs, choose, join_key
from cpp_pipeline.extract.macros import MacroDefinitions


def texts(seen: Iterable[SeenFile]) -> list[Text]:
    """The files that libclang read without an error, but for those whose bytes the pipeline changes (line ends)."""
    read = [Text(s.path, s.path.read_bytes(), s) for s in seen if not s.errors]
    return [t for t in read if b"\r" not in t.raw and t.raw.decode("utf-8", "replace").encode() == t.raw]


def macros_of(folder: Path) -> tuple[str, ...]:
    """What is blanked in the files of a repository."""
    found = MacroDefinitions()
    for path in sources(folder):
        found.add(_text(path))
    return found.transparent()


def functions_of(judged: Sequence[Text], macros: tuple[str, ...]) -> dict[Path, tuple[Function, ...]]:
    """All functions of the judged files, with and without documentation, the latter completed as for a join."""
    found = {}
    for text in judged:
        content = text.raw.decode()
        facts = read_functions(content, macros)
        completed = (complete(bare, content, macros) for bare in facts.bare)
        found[text.path] = (*facts.functions, *(f for f in completed if f is not None))
    return found


def joins_of(
    folder: Path, functions: Mapping[Path, Sequence[Function]], macros: tuple[str, ...]
) -> dict[tuple[Path, int], Place]:
    """Where the documentation of each function without its own stands, over all files of the repository."""
    paths = sources(folder)
    facts = [read_functions(_text(path), macros) for path in paths]
    number = {path: n for n, path in enumerate(paths)}
    names = [str(path.relative_to(folder)) for path in paths]
    files = pl.DataFrame({"repo": folder.name, "path": names, "includes": [list(f.includes) for f in facts]})
    declared = [(n, d) for n, f in enumerate(facts) for d in f.declarations]
    bare = [(number[path], path, f) for path, found in functions.items() for f in found if not f.doc_raw]
    found: dict[int, list[int]] = defaultdict(list)
    declarations = Declarations(_keyed(folder.name, [(n, d.qualified_name, d.is_anonymous) for n, d in declared]))
    definitions = _keyed(folder.name, [(n, f.qualified_name, f.is_anonymous) for n, _, f in bare])
    for pairs in declarations.candidates(definitions.with_row_index("definition"), Graphs(files)):
        for definition, declaration in pairs.select("definition", "declaration").iter_rows():
            found[definition].append(declaration)
    places = {}
    for at, (_, path, f) in enumerate(bare):
        near = [(declared[d][1], names[declared[d][0]]) for d in found[at]]
        candidates = [Candidate(d.parameter_types, d.qualifiers, d.doc_raw, name, d.doc_line) for d, name in near]
        places[path, f.end_byte] = _place(folder, choose(f.parameter_types, f.qualifiers, candidates))
    return places


def _keyed(repo: str, rows: Sequence[tuple[int, str, bool]]) -> pl.DataFrame:
    schema = {"file": pl.Int64(), "qualified_name": pl.String(), "is_anonymous": pl.Boolean()}
    return pl.DataFrame(rows, schema, orient="row").with_columns(key=join_key(pl.lit(repo), pl.col("qualified_name")))


def _place(folder: Path, found: Candidate | Ambiguous | None) -> Place:
    if isinstance(found, Ambiguous):
        return Place(ambiguous=True)
    return Place(folder / found.doc_path, found.doc_line) if found is not None else Place()


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
