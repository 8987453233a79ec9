"""The version of the code that makes an asset: its sources and everything of ours that they import.

Belongs here: finding and hashing sources. Whether a version is still current is `currency.py`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
NOT_FOLLOWED = ("schemas", "settings", "storage", "launch", "defs")
"""Tables are hashed by their own declaration, settings come in as config; the rest is shell."""
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]+))", re.M)
"""Parsing all files would take longer than everything else at load; here a docstring may name one import too many."""
_WORD, _COMMENT = re.compile(r"[\w.]+"), re.compile(r"#[^\n]*")


def code_version(parts: Sequence[str], function: Callable[..., Any] | None = None, extra: str = "") -> str:
    """Hash rooms or modules, what they import, and the asset's own function with its helpers.

    Parameters
    ----------
    parts
        Paths below the package: a module (`training/base.py`), or a room (`sandbox`) with all its files.
    function
        The asset's function; its decorators do not count, so that a better description costs no training.

    Raises
    ------
    FileNotFoundError
        A part does not exist.
    """
    files: set[Path] = set()
    for part in parts:
        files |= _files(PACKAGE / part)
    if function is not None:
        files |= _modules_of(_globals_used(function))
    hashed = hashlib.sha256(extra.encode())
    for text in sorted(_sources(function)) if function is not None else ():
        hashed.update(text.encode() + b"\0")
    for file in _sorted_closure(frozenset(files)):
        hashed.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + _content(file))
    return hashed.hexdigest()[:16]


def closure(files: Iterable[Path]) -> set[Path]:
    """The files and all modules of this package that they import, directly or not."""
    found: set[Path] = set()
    left = list(files)
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += _imports(file) if file.suffix == ".py" else ()
    return found


@cache
def _sorted_closure(files: frozenset[Path]) -> list[Path]:
    return sorted(closure(files))


@cache
def _files(path: Path) -> frozenset[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: an asset names code that does not exist")
    inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return frozenset(p for p in inside if "__pycache__" not in p.parts)


@cache
def _content(file: Path) -> bytes:
    return file.read_bytes()


@cache
def _imports(file: Path) -> frozenset[Path]:
    """Modules of this package that a file imports, at any level of indentation."""
    names: set[str] = set()
    for module, some, others in _IMPORT.findall(_content(file).decode()):
        words = _WORD.findall(_COMMENT.sub("", some or others))
        names |= {module, *(f"{module}.{word}" for word in words)} if module else set(words)
    return frozenset(path for name in names if (path := _module(name)) is not None)


@cache
def _module(name: str) -> Path | None:
    """The file of a module of this package; None for other packages, the shell, and names in modules."""
    top, *rest = name.split(".")
    if top != PACKAGE.name or not rest or rest[0] in NOT_FOLLOWED:
        return None
    path = PACKAGE.joinpath(*rest)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _globals_used(function: Callable[..., Any]) -> dict[str, Any]:
    """The module-level names that a function and its helpers in the same module use."""
    used: dict[str, Any] = {}
    left = [function]
    while left:
        current = left.pop()
        for name in _names(current.__code__):
            value = current.__globals__.get(name)
            if name not in used and value is not None:
                used[name] = value
                if inspect.isfunction(value) and value.__module__ == function.__module__:
                    left.append(value)
    return used


def _names(code: Any) -> set[str]:
    inner = (c for c in code.co_consts if inspect.iscode(c))
    return set(code.co_names).union(*(_names(c) for c in inner))


def _sources(function: Callable[..., Any]) -> set[str]:
    """Source of the function and its helpers, without decorators, comments and layout."""
    helpers: list[Callable[..., Any]] = [
        value
        for value in _globals_used(function).values()
        if inspect.isfunction(value) and value.__module__ == function.__module__
    ]
    return {_plain_source(f) for f in [function, *helpers]}


def _plain_source(function: Callable[..., Any]) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return ast.unparse(tree)


def _modules_of(used: dict[str, Any]) -> set[Path]:
    """The modules from which the asset's function takes what it calls."""
    names = {getattr(v, "__name__" if inspect.ismodule(v) else "__module__", None) or "" for v in used.values()}
    return {path for name in names if (path := _module(name)) is not None}
