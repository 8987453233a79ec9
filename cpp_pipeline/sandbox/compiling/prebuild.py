"""The command that an image's build runs, so that a judge in it need not prepare its headers at each start.

Belongs here: filling a folder of the image. Not here: when that is believed (`pch`).

A build of an image may make no namespaces, so there is no box: a user without privileges, with the limits of one,
compiles our own sources and nothing else. They have to lie at /box/native, where boxes see them: a precompiled header
holds the paths that it was made from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.sandbox.compiling.compilers import ToolchainError
from cpp_pipeline.sandbox.compiling.pch import AT_START, NATIVE, PREBUILT, Prepared, identity
from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.isolation.unsafe import Unsafe
from cpp_pipeline.settings import Settings

_SEEN = Path("/box/native")


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the folder with what a judge prepares when it starts; returns the exit code."""
    parser = argparse.ArgumentParser("cpp_pipeline.sandbox.compiling.prebuild", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=PREBUILT, help="where this user can write")
    folder = parser.parse_args(argv).folder
    if _SEEN.resolve() != NATIVE:
        print(f"{_SEEN} is not {NATIVE}: mkdir {_SEEN.parent} && ln -s {NATIVE} {_SEEN}", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            boxes = Unsafe(Path(work), allow_unsafe=True, environment_allows=Settings.from_env().allow_unsafe)
            _fill(boxes, Path(work), folder / identity())
            boxes.close()
    except (IsolationError, ToolchainError, OSError, ValueError) as error:
        print(f"{folder} cannot be filled: {error}", file=sys.stderr)
        return 1
    return 0


def _fill(boxes: Backend, work: Path, target: Path) -> None:
    def run(command: list[str], out: Path, limits: Limits) -> BoxResult:
        return boxes.run(Box(command, limits, writable=[(str(out), "/out")]))

    def open_folder() -> Path:
        folder = Path(tempfile.mkdtemp(dir=work))
        folder.chmod(0o755)
        return folder

    prepared = Prepared(run, open_folder, target)
    for build, wide in AT_START:
        prepared.all_of(build, wide)


if __name__ == "__main__":
    sys.exit(main())
