"""What an image brings along: taken when it is whole and closed to others, refused otherwise, and never written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.compiling.pch import OBJECTS, Prepared, identity
from cpp_pipeline.sandbox.compiling.toolchain import Build, Toolchain
from cpp_pipeline.sandbox.isolation import BoxResult, Limits
from cpp_pipeline.sandbox.isolation.choose import open_backend


class Compiler:
    """Writes what it is asked to, and counts."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, command: list[str], out: Path, limits: Limits) -> BoxResult:
        self.runs += 1
        (out / Path(command[-1]).name).write_text("made")
        return BoxResult(0, b"", b"", False, False, 0.0)


def prepared(folder: Path, compiler: Compiler, given: Path | None = None) -> Prepared:
    folder.mkdir(exist_ok=True)

    def open_folder() -> Path:
        found = Path(tempfile.mkdtemp(dir=folder))
        found.chmod(0o755)
        return found

    return Prepared(compiler, open_folder, folder / "cache", given)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The folder of one identity in an image, with the objects of the usual build."""
    image = prepared(tmp_path / "image", Compiler())
    image.objects(Build())
    return image.root


def states(folder: Path) -> dict[Path, tuple[int, int, int]]:
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_mode) for p in (folder, *folder.rglob("*"))}


def test_what_is_whole_and_closed_is_taken_and_not_touched(given: Path, tmp_path: Path) -> None:
    compiler, before = Compiler(), states(given)
    judge = prepared(tmp_path / "judge", compiler, given)
    folder = judge.objects(Build())
    assert (folder.parent, compiler.runs) == (given, 0)
    assert sorted(p.name for p in folder.iterdir()) == sorted(["complete", *OBJECTS])
    other = judge.objects(Build("c++17"))  # which the image does not have
    assert (other.parent, compiler.runs) == (judge.root, len(OBJECTS))
    assert states(given) == before


def open_folder(folder: Path) -> None:
    folder.chmod(0o777)


def open_file(folder: Path) -> None:
    (folder / OBJECTS[0]).chmod(0o664)


def open_parent(folder: Path) -> None:
    folder.parent.chmod(0o775)


def open_top(folder: Path) -> None:
    folder.parent.parent.chmod(0o777)


def linked(folder: Path) -> None:
    (folder / OBJECTS[0]).rename(folder.parent.parent / "elsewhere")
    (folder / OBJECTS[0]).symlink_to(folder.parent.parent / "elsewhere")


def incomplete(folder: Path) -> None:
    (folder / "complete").unlink()


def of_another(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(folder / OBJECTS[0], 12345, 12345)


@pytest.mark.parametrize("spoil", [open_folder, open_file, open_parent, open_top, linked, incomplete, of_another])
def test_what_others_may_change_or_is_not_whole_is_made_anew(
    given: Path, tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    (folder,) = given.iterdir()
    spoil(folder)
    compiler, before = Compiler(), states(given)
    judge = prepared(tmp_path / "judge", compiler, given)
    assert judge.objects(Build()).parent == judge.root
    assert compiler.runs == len(OBJECTS)
    assert states(given) == before
    assert ("others may change" in caplog.text) == (spoil is not incomplete)


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
def test_a_judge_of_the_same_identity_compiles_with_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, cache = work / "image", work / "cache"
    for folder in (image, cache):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(cache))
    boxes = open_backend("bubblewrap", work)
    try:
        made = Toolchain(boxes, work, image / identity()).prepared(Build())
        judge = Toolchain(boxes, work, prebuilt=image)
        assert judge.prepared(Build()) == made
        done = judge.compile("#include <vector>\nint main() {}\n", Build(), judge.open_folder(), objects=())
        assert (done.status, done.pch_hit) == ("ok", True)
        assert list(cache.glob("cpp-pipeline-pch-*/*")) == []
    finally:
        boxes.close()


def test_an_image_is_filled_only_where_its_sources_are_seen_as_in_boxes(tmp_path: Path) -> None:
    if Path("/box").exists():
        pytest.skip("this machine has a /box of its own")
    command = [sys.executable, "-m", "cpp_pipeline.sandbox.compiling.prebuild", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ln -s" in done.stderr and list(tmp_path.iterdir()) == []
