"""Documentation at a declaration joined to the definition in another place.

Belongs here: which declaration a definition belongs to, over the files of one repository.
Does not belong here: reading files (`functions.py`), quality.

Rule: same last name and last scope part; equal parameter types, else equal number of parameters; the shorter
qualified name is a suffix of the longer by whole scopes; and the declaration's file is the same file or is
reached from it through `#include`. Candidates that leave more than one documentation are ambiguous.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from cpp_pipeline.extract.docs import clean_comment
from cpp_pipeline.extract.functions import Declaration


@dataclass(frozen=True)
class Definition:
    """What a join needs to know of a function without documentation."""

    repo: str
    path: str
    qualified_name: str
    parameter_types: tuple[str, ...]
    is_anonymous: bool


@dataclass(frozen=True)
class Joined:
    """The documentation found, and where."""

    doc_raw: str
    doc_path: str
    doc_line: int


@dataclass(frozen=True)
class Ambiguous:
    """Several declarations fit and say different things."""

    places: tuple[str, ...]


class IncludeGraph:
    """Which files a file reaches through `#include`, matched by path suffix inside the repository."""

    def __init__(self) -> None:
        self._includes: dict[tuple[str, str], tuple[str, ...]] = {}
        self._by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._last: tuple[tuple[str, str], frozenset[str]] | None = None

    def add(self, repo: str, path: str, includes: Iterable[str]) -> None:
        """Note one file; includes as written, with `<>` or quotes."""
        self._includes[repo, path] = tuple(i.strip('<>"') for i in includes)
        self._by_name[repo, PurePosixPath(path).name].append(path)
        self._last = None

    def _resolve(self, repo: str, include: str) -> list[str]:
        parts = tuple(p for p in PurePosixPath(include).parts if p not in ("..", "."))
        if not parts:
            return []
        found = self._by_name.get((repo, parts[-1]), [])
        return [path for path in found if PurePosixPath(path).parts[-len(parts) :] == parts]

    def reachable(self, repo: str, path: str) -> frozenset[str]:
        """All files reached from `path`, itself among them."""
        if self._last is not None and self._last[0] == (repo, path):
            return self._last[1]
        seen, todo = {path}, [path]
        while todo:
            for include in self._includes.get((repo, todo.pop()), ()):
                new = [p for p in self._resolve(repo, include) if p not in seen]
                seen.update(new)
                todo.extend(new)
        reached = frozenset(seen)
        self._last = ((repo, path), reached)  # definitions come file by file
        return reached


def _key(repo: str, qualified_name: str) -> tuple[str, ...]:
    return (repo, *split_scopes(qualified_name)[-2:])


def split_scopes(qualified_name: str) -> tuple[str, ...]:
    """`a::B::operator std::string` -> ("a", "B", "operator std::string")."""
    head, operator, tail = qualified_name.partition("operator")
    if operator and (not head or head.endswith("::")):
        return (*(p for p in head.split("::") if p), operator + tail)
    return tuple(p for p in qualified_name.split("::") if p)


def is_scope_suffix(a: str, b: str) -> bool:
    """Whether the shorter qualified name is a suffix of the longer, by whole scopes."""
    x, y = sorted((split_scopes(a), split_scopes(b)), key=len)
    return y[len(y) - len(x) :] == x


class DeclarationIndex:
    """Documented declarations of a dump; holds their comments, not the files."""

    def __init__(self, graph: IncludeGraph) -> None:
        self._graph = graph
        self._found: dict[tuple[str, ...], list[tuple[str, Declaration]]] = defaultdict(list)

    def add(self, repo: str, path: str, declarations: Iterable[Declaration]) -> None:
        """Note the declarations of one file."""
        for d in declarations:
            self._found[_key(repo, d.qualified_name)].append((path, d))

    def find(self, definition: Definition) -> Joined | Ambiguous | None:
        """The documentation of a definition, None when no declaration fits."""
        near = self._found.get(_key(definition.repo, definition.qualified_name))
        if not near:
            return None
        reached = self._graph.reachable(definition.repo, definition.path)
        fits = [
            (path, d)
            for path, d in near
            if path in reached
            and is_scope_suffix(d.qualified_name, definition.qualified_name)
            and (path == definition.path or not (d.is_anonymous or definition.is_anonymous))
        ]
        exact = [f for f in fits if f[1].parameter_types == definition.parameter_types]
        count = len(definition.parameter_types)
        chosen = exact or [f for f in fits if len(f[1].parameter_types) == count]
        if not chosen:
            return None
        if len({clean_comment(d.doc_raw) for _, d in chosen}) > 1:
            return Ambiguous(tuple(f"{path}:{d.doc_line}" for path, d in chosen))
        path, declaration = chosen[0]
        return Joined(declaration.doc_raw, path, declaration.doc_line)
