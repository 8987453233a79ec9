"""What a CMakeLists.txt builds, and the request in words that it answers.

Belongs here: reading the text of a CMake file. Does not belong here: running CMake (`sandbox/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl
import tree_sitter_cmake
from tree_sitter import Language, Node, Parser

from cpp_pipeline.extract.parsing import refusal
from cpp_pipeline.extract.rows import rows_of
from cpp_pipeline.schemas import TABLES

_TARGET_COMMANDS = {"add_executable": "executable", "add_library": "library", "add_custom_target": "custom"}
_TARGET_WORD_TEXT = """
    STATIC SHARED MODULE OBJECT INTERFACE UNKNOWN IMPORTED GLOBAL ALIAS EXCLUDE_FROM_ALL WIN32
    MACOSX_BUNDLE ALL
"""
_TARGET_WORDS = frozenset(_TARGET_WORD_TEXT.split())
_LINK_WORD_TEXT = """
    PUBLIC PRIVATE INTERFACE LINK_PUBLIC LINK_PRIVATE LINK_INTERFACE_LIBRARIES debug optimized
    general
"""
_LINK_WORDS = frozenset(_LINK_WORD_TEXT.split())
_SOURCE_END = re.compile(r"\.(?:c|cc|cpp|cxx|c\+\+|cu|h|hh|hpp|hxx|inl|ipp|ixx|cppm)$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FEATURE = re.compile(r"cxx_std_(\d+)")
_NAMESPACED = re.compile(r"^[A-Za-z][\w.+-]*(?:::[\w.+-]+)+$")
_MAX_EXPANSION = 4_000


@dataclass(frozen=True)
class Target:
    """One target that the file defines."""

    kind: str
    """executable, library or custom."""
    name: str
    sources: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    """What it links, in order."""


@dataclass(frozen=True)
class CMakeFacts:
    """What one CMakeLists.txt says; names with variables that the file does not set are left out."""

    project: str | None = None
    targets: tuple[Target, ...] = ()
    packages: tuple[str, ...] = ()
    """Names given to find_package, in order."""
    links: tuple[tuple[str, str], ...] = ()
    """(target, library) pairs in order."""
    standard: str | None = None
    """C++ standard, for example "17"."""
    tests: tuple[str, ...] = ()
    installs: bool = False
    subdirectories: tuple[str, ...] = ()
    has_error: bool = False
    """The text is not well formed, or was not read."""

    @property
    def package_targets(self) -> tuple[tuple[str, str], ...]:
        """(package, imported target) of each linked `Ns::name` whose `Ns` is, but for case, a package found."""
        by_name = {p.lower(): p for p in self.packages}
        libraries = sorted({library for _, library in self.links if _NAMESPACED.match(library)})
        owners = [(by_name.get(library.split("::", 1)[0].lower()), library) for library in libraries]
        return tuple((package, library) for package, library in owners if package is not None)


@lru_cache(maxsize=1)
def _parser() -> Parser:
    return Parser(Language(tree_sitter_cmake.language()))


def _arguments(command: Node) -> list[str]:
    """Arguments as CMake would see them, before variables are replaced."""
    listed = next((c for c in command.named_children if c.type == "argument_list"), None)
    out: list[str] = []
    for argument in listed.named_children if listed is not None else ():
        if argument.type != "argument" or not argument.named_children:
            continue
        text = (argument.text or b"").decode("utf-8", "replace")
        kind = argument.named_children[0].type
        if kind == "quoted_argument":
            text = text[1:-1]
        elif kind == "bracket_argument":
            text = re.sub(r"^\[(=*)\[\n?(.*)\]\1\]$", r"\2", text, flags=re.DOTALL)
        out.append(text)
    return out


def _commands(root: Node) -> Iterator[tuple[str, list[str]]]:
    """(lower-case name, arguments) in text order, also inside if, foreach and function."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "normal_command":
            name = next((c for c in node.named_children if c.type == "identifier"), None)
            if name is not None:
                yield (name.text or b"").decode("utf-8", "replace").lower(), _arguments(node)
        elif node.type not in ("argument_list", "line_comment", "bracket_comment"):
            stack.extend(reversed(node.named_children))


class _Reading:
    def __init__(self) -> None:
        self.variables: dict[str, list[str]] = {}
        self.project: str | None = None
        self.standard: str | None = None
        self.targets: dict[str, Target] = {}
        self.packages: dict[str, None] = {}
        self.links: dict[tuple[str, str], None] = {}
        self.tests: dict[str, None] = {}
        self.subdirectories: dict[str, None] = {}
        self.installs = False

    def expand(self, arguments: list[str]) -> list[str]:
        """Replace variables that the file set; what stays open is dropped by the caller."""
        out: list[str] = []
        for argument in arguments:
            whole = _VARIABLE.fullmatch(argument)
            if whole and whole[1] in self.variables:
                out += self.variables[whole[1]]
            else:
                text = _VARIABLE.sub(lambda m: ";".join(self.variables.get(m[1], [m[0]])), argument)
                out.append(text[:_MAX_EXPANSION])
        return out[:_MAX_EXPANSION]

    def read(self, name: str, raw: list[str]) -> None:
        arguments = self.expand(raw)
        known = [a for a in arguments if a and "$" not in a]
        head = arguments[0] if arguments else ""
        if not head or "$" in head:
            return
        if name == "set":
            self.variables[head] = [v for a in known[1:] for v in a.split(";") if a != "CACHE"]
            if head == "CMAKE_CXX_STANDARD" and len(known) > 1:
                self.standard = known[1]
        elif name == "project":
            self.project = self.project or head
            self.variables.setdefault("PROJECT_NAME", [head])
            self.variables.setdefault("CMAKE_PROJECT_NAME", [head])
        elif name in _TARGET_COMMANDS:
            if not {"ALIAS", "IMPORTED"} & set(known):
                sources = tuple(a for a in known[1:] if a not in _TARGET_WORDS and _SOURCE_END.search(a))
                self.targets[head] = Target(_TARGET_COMMANDS[name], head, sources)
        elif name == "target_sources" and head in self.targets:
            old = self.targets[head]
            added = tuple(a for a in known[1:] if _SOURCE_END.search(a))
            self.targets[head] = Target(old.kind, old.name, old.sources + added)
        elif name == "find_package":
            self.packages[head] = None
        elif name == "target_link_libraries":
            for library in known[1:]:
                if library not in _LINK_WORDS:
                    self.links[head, library] = None
        elif name in ("target_compile_features", "set_target_properties", "set_property"):
            self._standard_of(known)
        elif name == "add_test":
            self.tests[known[1] if head == "NAME" and len(known) > 1 else head] = None
        elif name == "add_subdirectory":
            self.subdirectories[head] = None
        elif name == "install":
            self.installs = True

    def _standard_of(self, known: list[str]) -> None:
        for i, word in enumerate(known):
            feature = _FEATURE.fullmatch(word)
            if feature:
                self.standard = self.standard or feature[1]
            elif word == "CXX_STANDARD" and i + 1 < len(known):
                self.standard = self.standard or known[i + 1]

    def facts(self, has_error: bool) -> CMakeFacts:
        links = tuple(self.links)
        return CMakeFacts(
            project=self.project,
            targets=tuple(
                Target(t.kind, t.name, t.sources, tuple(lib for owner, lib in links if owner == t.name))
                for t in self.targets.values()
            ),
            packages=tuple(self.packages),
            links=links,
            standard=self.standard,
            tests=tuple(self.tests),
            installs=self.installs,
            subdirectories=tuple(self.subdirectories),
            has_error=has_error,
        )


def facts(text: str) -> CMakeFacts:
    """Read a CMakeLists.txt; never fails, a text that cannot be read gives facts with `has_error`.

    Conditions are not judged: both sides of an `if` count.
    """
    source = text.encode("utf-8", "replace")
    if refusal(source) is not None:
        return CMakeFacts(has_error=True)
    root = _parser().parse(source).root_node
    reading = _Reading()
    for name, arguments in _commands(root):
        reading.read(name, arguments)
    return reading.facts(root.has_error)


def _listed(words: Sequence[str]) -> str:
    quoted = [f"`{w}`" for w in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def instruction(known: CMakeFacts, files: Sequence[str]) -> str:
    """The request that this CMakeLists.txt answers: project, sources and dependencies in words.

    Parameters
    ----------
    known
        As `facts` read it.
    files
        Paths of the project's sources beside the CMakeLists.txt; told when no target names its sources.
    """
    said = ["Write a CMakeLists.txt" + (f" for the C++ project `{known.project}`." if known.project else ".")]
    if known.standard:
        said.append(f"It uses C++{known.standard}.")
    for target in known.targets:
        article = "an" if target.kind == "executable" else "a"
        made = f" from {_listed(target.sources)}" if target.sources else ""
        linked = f", linked with {_listed(target.libraries)}" if target.libraries else ""
        said.append(f"It builds {article} {target.kind} `{target.name}`{made}{linked}.")
    if files and not any(t.sources for t in known.targets):
        said.append(f"The sources are {_listed(sorted(files))}.")
    if known.packages:
        said.append(f"It depends on the package{'s' * (len(known.packages) > 1)} {_listed(known.packages)}.")
    if known.subdirectories:
        said.append(
            f"It adds the subdirector{'ies' if len(known.subdirectories) > 1 else 'y'} {_listed(known.subdirectories)}."
        )
    if known.tests:
        said.append(f"It registers the test{'s' * (len(known.tests) > 1)} {_listed(known.tests)}.")
    if known.installs:
        said.append("It installs its targets.")
    return " ".join(said)


def packages(clean_files: pl.LazyFrame) -> pl.LazyFrame:
    """Packages that the CMake files of dumps find, with the imported targets that they link.

    Holds the result in memory, not the files.

    Parameters
    ----------
    clean_files
        Rows of `clean_files`.

    Returns
    -------
    LazyFrame
        Rows of `cmake_packages` with origin `dump:repo:path`, sorted by its key.
    """
    rows = [
        {
            "package": package,
            "target": target,
            "origin": f"{row['dump']}:{row['repo']}:{row['path']}",
            "licence": row["licence"],
        }
        for row in rows_of(clean_files.filter(pl.col("language") == "cmake"))
        for package, target in facts(row["content"]).package_targets
    ]
    table = TABLES["cmake_packages"]
    return table.frame(rows).sort(table.key)
