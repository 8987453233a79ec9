"""The code version changes with everything of ours that decides a result, and with nothing else."""

from pathlib import Path

import pytest

from cpp_pipeline.corpus import formats
from cpp_pipeline.storage.code_version import PACKAGE, closure, code_version


def names(files: set[Path]) -> set[str]:
    return {f.relative_to(PACKAGE).as_posix() for f in files}


def test_imports_are_followed_through_modules() -> None:
    found = names(closure([PACKAGE / "training" / "base.py"]))
    assert {"training/base.py", "training/common.py", "corpus/shards.py", "models/build.py"} <= found
    assert not any(f.startswith(("storage/", "defs/", "launch/")) or f.startswith("schemas") for f in found)


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
