"""libclang as a reference: which trees, with which flags, and what it says of their files.

Belongs here: choosing files, starting the peer's interpreter (`libclang_worker.py`) and its answers as objects. Not
here: judging them (`libclang_pairs.py`, `libclang_joins.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.corpora import sources

_WORKER = Path(__file__).with_name("libclang_worker.py")
_PRELUDE = """
    algorithm array atomic bitset cassert cctype cerrno chrono cinttypes climits clocale cmath complex
    condition_variable cstdarg cstddef cstdint cstdio cstdlib cstring ctime deque exception fstream functional future
    initializer_list iomanip ios iostream istream iterator limits list locale map memory mutex new numeric ostream
    queue random ratio regex set sstream stack stdexcept streambuf string system_error thread tuple type_traits
    typeinfo unordered_map unordered_set utility valarray vector fcntl.h unistd.h sys/stat.h sys/types.h
"""


@dataclass(frozen=True)
class Tree:
    """How one corpus is read: which folders are judged, and its flags as its own build sets them."""

    folders: tuple[str, ...]
    includes: tuple[str, ...] = (".",)
    """Below the corpus, or with `../` beside it."""
    defines: tuple[str, ...] = ()
    standard: str = "c++17"
    without: tuple[str, ...] = ()
    """Parts of paths of bundled copies of other projects."""
    generated: tuple[str, ...] = ()
    """Headers that its build writes."""


_TESTING = ("../googletest/googletest/include", "../googletest/googlemock/include")
TREES: Mapping[str, Tree] = {
    "leveldb": Tree((".",), (".", "include", *_TESTING), ("LEVELDB_PLATFORM_POSIX=1",), without=("windows",)),
    "fmt": Tree(("include", "src"), ("include",), standard="c++20"),
    "spdlog": Tree(("include", "src"), ("include",), ("SPDLOG_COMPILED_LIB",), without=("/bundled/",)),
    "googletest": Tree(
        ("googletest/include", "googletest/src", "googlemock/include", "googlemock/src"),
        ("googletest/include", "googletest", "googlemock/include", "googlemock"),
    ),
    "json": Tree(("include",), ("include",)),
    "Catch2": Tree(("src",), ("src",), generated=("catch2/catch_user_config.hpp",)),
    "C-Plus-Plus": Tree((".",)),
    "rocksdb": Tree(
        ("db", "util", "file", "options", "monitoring", "include"),
        (".", "include"),
        ("ROCKSDB_PLATFORM_POSIX", "ROCKSDB_LIB_IO_POSIX", "OS_LINUX"),
        standard="c++20",
        without=("_test",),
    ),
}


@dataclass(frozen=True)
class Comment:
    """Where a comment is: bytes, and the line of its beginning."""

    path: Path
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Seen:
    """A definition as libclang sees it; places are bytes of its file."""

    name: str
    line: int
    start: int
    end: int
    """Behind the body; of a lambda behind the `;` of its statement."""
    has_body: bool
    from_macro: bool
    """Its name comes out of a macro call."""
    begins_in_macro: bool
    own: Comment | None
    """Of this declaration, or of another one of the same function: the place tells."""
    declared: Path | None
    """File of its first declaration, when that is another one."""
    declared_start: int
    declared_doc: Comment | None


@dataclass(frozen=True)
class SeenFile:
    """One file; `skipped` are inactive `#if` texts as [start, end)."""

    path: Path
    errors: int
    first_error: str
    skipped: tuple[tuple[int, int], ...]
    functions: tuple[Seen, ...]
    cpu_seconds: float


def judged_files(tree: Tree, folder: Path, most: int) -> list[Path]:
    """At most `most` files of the judged folders, evenly spread over their sorted list."""
    found = [p for f in tree.folders for p in sources((folder / f).resolve())]
    kept = sorted(p for p in found if p.suffix != ".c" and not any(part in str(p) for part in tree.without))
    step = max(1, -(-len(kept) // most))
    return kept[::step]


def read_tree(python: Path, tree: Tree, folder: Path, files: Sequence[Path], workers: int) -> list[SeenFile]:
    """What libclang sees in each file, each parsed as a file of its own.

    Parameters
    ----------
    python
        Interpreter with the package `libclang`.
    folder
        Root of the corpus; cursors outside are passed over.
    workers
        Processes side by side.

    Raises
    ------
    RuntimeError
        The worker ended early, with what it said.
    """
    root = folder.resolve()
    arguments = [f"-std={tree.standard}", "-fparse-all-comments", "-Wdocumentation", "-ferror-limit=0", "-pthread"]
    arguments += [f"-I{(root / i).resolve()}" for i in tree.includes]
    arguments += [f"-D{d}" for d in tree.defines]
    arguments += [a for i in system_includes() for a in ("-isystem", i)]
    shares = [share for at in range(workers) if (share := [str(f) for f in files[at::workers]])]
    with ThreadPoolExecutor(max(1, len(shares))) as pool:
        found = [
            s for part in pool.map(lambda s: _ask(python, s, root, arguments, tree.generated), shares) for s in part
        ]
    return sorted(found, key=lambda s: s.path)


def system_includes() -> list[str]:
    """Header folders of g++, which libclang's wheel lacks."""
    asked = ["g++", "-E", "-x", "c++", "-", "-v"]
    said = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stderr
    between = said.partition("#include <...> search starts here:\n")[2].partition("End of search list.")[0]
    return [line.strip() for line in between.splitlines()]


def _ask(
    python: Path, files: Sequence[str], root: Path, arguments: Sequence[str], generated: Sequence[str]
) -> list[SeenFile]:
    with tempfile.TemporaryDirectory(prefix="libclang-") as scratch:
        order = {"files": files, "root": f"{root}{os.sep}", "arguments": arguments, "generated": generated}
        done = subprocess.run(
            [str(python), "-I", str(_WORKER)],
            input=json.dumps(order | {"prelude": _PRELUDE.split(), "scratch": scratch}),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"libclang on {root} ended with {done.returncode}: {done.stderr[-2000:]}")
    return [_seen_file(json.loads(line)) for line in done.stdout.splitlines()]


def _comment(told: Sequence[Any] | None) -> Comment | None:
    return Comment(Path(told[0]), *told[1:]) if told else None


def _seen_file(told: Mapping[str, Any]) -> SeenFile:
    functions = tuple(_seen(f) for f in told["functions"])
    skipped = tuple((start, end) for start, end in told["skipped"])
    count, first = told["errors"]
    return SeenFile(Path(told["path"]), count, first, skipped, functions, told["cpu_s"])


def _seen(told: Mapping[str, Any]) -> Seen:
    first = told["declared"] or {"path": None, "start": 0, "comment": None}
    return Seen(
        told["name"],
        told["line"],
        told["start"],
        told["end"],
        told["has_body"],
        told["from_macro"],
        told["begins_in_macro"],
        _comment(told["own"]),
        Path(first["path"]) if first["path"] else None,
        first["start"],
        _comment(first["comment"]),
    )
