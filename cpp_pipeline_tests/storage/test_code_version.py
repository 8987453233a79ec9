"""The code version changes with everything of ours that decides a result, and with nothing else."""

import ast
from pathlib import Path

import pytest

from cpp_pipeline.corpus import formats
from cpp_pipeline.storage.code_version import NOT_FOLLOWED, PACKAGE, closure, code_version


def names(files: set[Path]) -> set[str]:
    return {f.relative_to(PACKAGE).as_posix() for f in files}


def test_imports_are_followed_through_modules() -> None:
    found = names(closure([PACKAGE / "training" / "base.py"]))
    assert {"training/base.py", "training/common.py", "corpus/shards.py", "models/build.py"} <= found
    assert not any(f.startswith(("storage/", "defs/", "launch/")) or f.startswith("schemas") for f in found)


def parsed(file: Path) -> set[str]:
    """What a file imports of this package, by Python's own parser."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = {PACKAGE.joinpath(*name.split(".")[1:]) for name in found if name.startswith("cpp_pipeline.")}
    modules = {m for path in paths for m in (path.with_suffix(".py"), path / "__init__.py") if m.is_file()}
    return {m for m in names(modules) if m.split("/")[0].removesuffix(".py") not in NOT_FOLLOWED}


def test_the_closure_is_that_of_the_parser() -> None:
    files = [*PACKAGE.rglob("*.py")]
    left = {f: parsed(f) for f in files}
    for file in files:
        found, todo = set[str](), {file.relative_to(PACKAGE).as_posix()}
        while todo:
            found |= todo
            todo = set().union(*(left[PACKAGE / name] for name in todo)) - found
        assert names(closure([file])) == found, file


def test_a_room_counts_with_its_files_that_are_not_python() -> None:
    assert code_version(["sandbox"]) != code_version(["sandbox/types.py"])


def helper(text: str) -> str:
    return formats.chat_prompt(text)


def asset_one(text: str) -> str:
    return helper(text)


def asset_two(text: str) -> str:
    return helper(text) + "!"


def test_the_function_and_what_it_calls_count() -> None:
    one = code_version(["models/presets.py"], asset_one)
    assert one == code_version(["models/presets.py"], asset_one)
    assert one != code_version(["models/presets.py"], asset_two)
    assert one != code_version(["models/presets.py"])
    assert one != code_version(["models/presets.py"], asset_one, "another table")


def test_unknown_code_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such\.py"):
        code_version(["no_such.py"])
