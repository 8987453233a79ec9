"""Files between a pod and storage: what holds when a pod is killed at any moment, and when there are two."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from cpp_pipeline.launch import remote_files as files
from cpp_pipeline.storage.place import at


@pytest.fixture(params=["local", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """A folder of storage, of this machine or in a bucket."""
    return UPath(tmp_path / "storage") if request.param == "local" else UPath(request.getfixturevalue("bucket")) / "job"


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        target = folder / name.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_file_is_created_once(place: UPath) -> None:
    assert files.create_only(place / "x", b"mine")
    assert files.create_only(place / "x", b"mine")  # sent again
    assert not files.create_only(place / "x", b"other")
    assert at(place / "x").read() == b"mine"


def test_of_many_writers_one_is_first(place: UPath) -> None:
    won: list[int] = []

    def write_it(number: int) -> None:
        if files.create_only(place / "x", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=write_it, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and at(place / "x").read() == b"%d" % won[0]
    assert at(place).names() == ["x"]


def test_files_and_folders_are_fetched(place: UPath, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, a="1", deep__b="2")
    for name in ("a", "deep/b"):
        files.put(source / name, place / "in" / name)
    assert tree(files.fetch(place / "in", tmp_path / "folder")) == {"a": "1", "deep/b": "2"}
    assert files.fetch(place / "in" / "a", tmp_path / "file").read_text() == "1"
    with pytest.raises(FileNotFoundError, match="absent"):
        files.fetch(place / "absent", tmp_path / "none")


def test_an_attempt_goes_on_from_the_newest_whole_one(place: UPath, tmp_path: Path) -> None:
    first, second, third = (files.claim(place, {"pod": p}) for p in "abc")
    assert (first, second, third) == (1, 2, 3)
    work = tmp_path / "work"
    write(work, metrics="12", state__step__s="one")
    files.Mirror(work, place / "00001").push()
    files.put(work / "metrics", place / "00002" / "files" / "metrics")  # killed before it had a mirror.json
    target = tmp_path / "target"
    target.mkdir()
    assert files.restore(place, third, target) == 1
    assert tree(target) == {"metrics": "12", "state/step/s": "one"}
    files.clear_earlier(place, third)
    assert at(place / "00001").names() == [] and files.claim(place, {"pod": "d"}) == 4


def test_a_mirror_sends_what_changed_and_removes_what_is_gone(place: UPath, tmp_path: Path) -> None:
    work = tmp_path / "work"
    write(work, log="a", state__one__x="1", _hidden="", state___part="")
    (work / ".part").write_text("being written")
    (work / "state" / ".part-3").mkdir()
    (work / "state" / ".part-3" / "x").write_text("being written")
    mirror = files.Mirror(work, place / "00001")
    assert mirror.push() == {"log": 1, "state/one/x": 1, "_hidden": 0, "state/_part": 0}
    (work / "state" / "one" / "x").unlink()
    write(work, log="abc", state__two__x="22")
    assert mirror.push() == {"log": 3, "state/two/x": 2, "_hidden": 0, "state/_part": 0}
    assert at(place / "00001" / "files" / "state" / "one" / "x").read() is None


def test_a_log_that_grows_meanwhile_is_cut_where_its_list_ends(place: UPath, tmp_path: Path) -> None:
    work, target = tmp_path / "work", tmp_path / "target"
    write(work, log="1234")
    files.Mirror(work, place / "00001").push()
    files.claim(place, {})
    write(work, log="123456")
    files.put(work / "log", place / "00001" / "files" / "log")  # killed before mirror.json said so
    target.mkdir()
    assert files.restore(place, 2, target) == 1 and tree(target) == {"log": "1234"}


def test_the_first_commit_counts(place: UPath, tmp_path: Path) -> None:
    for number, text in ((1, "one"), (2, "two")):
        work = tmp_path / text
        write(work, weights=text, **{"result.json": json.dumps({"of": text})})
        mirror = files.Mirror(work, place / f"{number:05d}")
        assert mirror.push() == {"weights": 3}  # a result is never seen before all that it speaks of
        sizes = mirror.push(final=True)
        assert files.commit(place, number, sizes, {"pod": text}) == (number == 1)
    record = files.collect(place, tmp_path / "got")
    assert record["attempt"] == 1 and tree(tmp_path / "got")["weights"] == "one"
    with pytest.raises(files.JobUnfinished):
        files.collect(place / "other", tmp_path / "none")


@pytest.mark.parametrize("commits_first", [True, False])
def test_files_are_committed_by_their_attempt_or_cleared_by_a_later_one(
    place: UPath, tmp_path: Path, commits_first: bool
) -> None:
    first, second = files.claim(place, {}), files.claim(place, {})
    work = tmp_path / "work"
    write(work, weights="w", **{"result.json": "{}"})
    sizes = files.Mirror(work, place / f"{first:05d}").push(final=True)
    if not commits_first:
        files.clear_earlier(place, second)
    assert files.commit(place, first, sizes, {}) == commits_first
    files.clear_earlier(place, second)
    assert (files.committed(place) is not None) == commits_first
    assert at(place / "00001" / "files" / "weights").read() == (b"w" if commits_first else None)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["log", "a", "s/one/x", "s/one/y", "s/two/x"]), st.text("ab", max_size=5), max_size=5
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_restored_is_what_was_pushed_last(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[str, str]]
) -> None:
    base = tmp_path_factory.mktemp("mirror")
    work, job = base / "work", UPath(base / "job")
    work.mkdir()
    files.claim(job, {})
    mirror = files.Mirror(work, job / "00001")
    for number, state in enumerate(states):
        for path in [p for p in work.rglob("*") if p.is_file()]:
            if path.relative_to(work).as_posix() not in state:
                path.unlink()
        for name, text in state.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
            import os

            os.utime(work / name, ns=(number, number))
        mirror.push()
    target = base / "target"
    target.mkdir()
    files.restore(job, 2, target)
    assert tree(target) == states[-1]
