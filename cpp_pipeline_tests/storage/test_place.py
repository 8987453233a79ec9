"""Writing whole or not at all, and only while nobody else has: the same on disk and in a bucket."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from google.cloud import storage

from cpp_pipeline.storage import place as places
from cpp_pipeline.storage.gcs import remembered_reads
from cpp_pipeline.storage.place import ABSENT, Place, Refused, at
from cpp_pipeline_tests.gcs.fixtures import objects


@pytest.fixture(params=["local", "gcs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder of this machine, or in a bucket."""
    return str(tmp_path / "folder") if request.param == "local" else f"{request.getfixturevalue('bucket')}/a/folder"


def test_what_was_written_is_read_listed_and_removed(folder: str, tmp_path: Path) -> None:
    for name in ("x", "deep/y", "deep/er/z", "x.more"):
        at(f"{folder}/{name}").write(name.encode())
    assert at(f"{folder}/deep/y").read() == b"deep/y"
    assert at(f"{folder}/deep/er/z").size() == 9
    assert at(folder).names() == ["deep", "x", "x.more"]
    assert sorted(at(folder).files()) == ["deep/er/z", "deep/y", "x", "x.more"]
    at(f"{folder}/deep/y").download(tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == b"deep/y"
    for gone in ("deep", "x", "x"):
        at(f"{folder}/{gone}").delete()
    assert at(folder).names() == ["x.more"]  # a name that begins alike is another one


def test_what_is_not_there_is_none_and_nothing(folder: str, tmp_path: Path) -> None:
    nothing = at(f"{folder}/x")
    assert (nothing.read(), nothing.token(), nothing.names(), nothing.files()) == (None, ABSENT, [], {})
    for ask in (nothing.size, lambda: nothing.download(tmp_path / "x")):
        with pytest.raises(FileNotFoundError, match="x"):
            ask()
    assert not (tmp_path / "x").exists()


def test_a_write_replaces_only_what_it_has_seen(folder: str) -> None:
    file = at(f"{folder}/x")
    file.write(b"1", ABSENT)
    with pytest.raises(Refused, match="x: another writer"):
        file.write(b"late", ABSENT)
    first = file.token()
    file.write(b"2", first)
    with pytest.raises(Refused):
        file.write(b"late", first)
    file.write(b"3")
    with pytest.raises(Refused):
        file.write(b"late", first)
    file.delete()
    with pytest.raises(Refused):
        file.write(b"late", first)
    assert file.read() is None and at(folder).names() == []


@pytest.mark.parametrize("before", [None, b"old"])
def test_of_many_writers_with_one_view_one_is_first(folder: str, before: bytes | None) -> None:
    file = at(f"{folder}/x")
    if before is not None:
        file.write(before)
    seen, won = file.token(), list[int]()

    def write(number: int) -> None:
        try:
            at(f"{folder}/x").write(b"%d" % number, seen)
            won.append(number)
        except Refused:
            pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and file.read() == b"%d" % won[0]


def test_large_files_go_up_and_come_back_whole(folder: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (40 << 10)  # 10 MB: more than one chunk of an upload
    (tmp_path / "big").write_bytes(content)
    assert at(f"{folder}/big").upload(tmp_path / "big") == len(content)
    at(f"{folder}/big").download(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_write_whose_answer_was_lost_is_not_refused_when_it_is_sent_again(bucket: str) -> None:
    at(f"{bucket}/x").write(b"mine", ABSENT)
    at(f"{bucket}/x").write(b"mine", ABSENT)
    assert at(f"{bucket}/x").read() == b"mine"


def test_a_small_write_that_is_large_is_an_error(bucket: str) -> None:
    with pytest.raises(ValueError, match="too many for one request"):
        at(f"{bucket}/x").write(bytes(9 << 20))
    assert objects(bucket) == {}


def test_the_server_holds_the_precondition_on_which_all_commits_rest(bucket: str) -> None:
    """The one that the project relies on; if a server ignored it, every other test here would prove nothing."""
    from google.api_core.exceptions import PreconditionFailed

    blob = storage.Client().bucket(bucket.removeprefix("gs://")).blob("x")
    blob.upload_from_string(b"1", if_generation_match=0)
    for generation in (0, blob.generation + 1):
        with pytest.raises(PreconditionFailed):
            blob.upload_from_string(b"2", if_generation_match=generation)
    assert blob.download_as_bytes() == b"1"


@pytest.mark.parametrize("wrong", ["gs://", "gs:///x", "gs:bucket/x", "gs:/bucket/x", "s3://bucket/x", "memory://x"])
def test_a_root_that_cannot_be_names_the_setting(wrong: str) -> None:
    with pytest.raises(ValueError, match=rf"CPP_PIPELINE_ROOT={wrong}: .* a folder or gs://bucket/prefix"):
        at(wrong)


def test_paths_and_file_urls_are_places_of_this_machine(tmp_path: Path) -> None:
    found: list[Place] = [at(tmp_path), at(str(tmp_path)), at(f"file://{tmp_path}")]
    assert [isinstance(p, places.LocalPlace) and p.path == tmp_path for p in found] == [True] * 3


def test_in_a_block_that_remembers_each_file_is_asked_for_once(bucket: str) -> None:
    file, absent = at(f"{bucket}/x"), at(f"{bucket}/y")
    file.write(b"1")
    with remembered_reads():
        assert (file.read(), absent.read()) == (b"1", None)
        file.write(b"2")
        absent.write(b"2")
        assert (file.read(), absent.read()) == (b"1", None)
    assert (file.read(), absent.read()) == (b"2", b"2")
