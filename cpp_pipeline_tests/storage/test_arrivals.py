"""New dumps below a folder, and below a prefix by the client that dagster-gcp gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from dagster_gcp.gcs import GCSResource

from cpp_pipeline.storage.arrivals import Arrival, new_dumps, register
from cpp_pipeline.storage.dumps import add_dump
from cpp_pipeline.storage.gcs import BucketError
from cpp_pipeline.storage.place import at
from cpp_pipeline.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def client(gcs_server: str) -> Any:
    return GCSResource(project="").get_client()


def put(bucket: str, *names: str) -> None:
    for name in names:
        at(f"{bucket}/in/{name}").write(name.encode())


def test_folders_and_dump_files_arrive_and_are_new_until_they_are_registered(
    store: Store, client: Any, bucket: str
) -> None:
    put(bucket, "b/src/a.cc", "b/README", "a repo/x.cc", "code.tar.gz")
    put(bucket, "code.tar.gz.md5", "_SUCCESS", ".part/x", "note")
    found = new_dumps(store, f"{bucket}/in/", 0.0, client)
    assert found == [
        Arrival("a-repo", f"{bucket}/in/a repo", 1, len("a repo/x.cc")),
        Arrival("b", f"{bucket}/in/b", 2, len("b/src/a.cc") + len("b/README")),
        Arrival("code.tar.gz", f"{bucket}/in/code.tar.gz", 1, len("code.tar.gz")),
    ]
    for arrival in found[:2]:
        add_dump(store, arrival.url, arrival.name)
    put(bucket, "c/x.cc")
    names = [a.name for a in new_dumps(store, f"{bucket}/in", 0.0, client)]
    assert names == ["c", "code.tar.gz"]


def test_a_dump_that_is_still_being_uploaded_waits(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "a/x.cc")
    assert new_dumps(store, f"{bucket}/in", 3600.0, client) == []
    assert [a.name for a in new_dumps(store, f"{bucket}/in", 0.0, client)] == ["a"]


def test_dagsters_own_client_is_the_default(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "a/x.cc")
    assert new_dumps(store, f"{bucket}/in", 0.0) == new_dumps(store, f"{bucket}/in", 0.0, client) != []


def test_a_whole_bucket_may_be_the_place_of_dumps(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "x.cc")
    assert [a.url for a in new_dumps(store, bucket, 0.0, client)] == [f"{bucket}/in"]


def test_what_cannot_be_is_told(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "a b/x.cc", "a-b/x.cc", "c/x.cc")
    names, refused = register(store, new_dumps(store, f"{bucket}/in", 0.0, client))
    assert names == ["c"]
    assert refused[0].startswith(f"{bucket}/in/a b and {bucket}/in/a-b would both be dump 'a-b': rename one")
    with pytest.raises(ValueError, match="CPP_PIPELINE_INBOX=s3://b/in: dumps arrive in a folder or below gs://"):
        new_dumps(store, "s3://b/in", 0.0)
    with pytest.raises(BucketError, match="CPP_PIPELINE_INBOX names gs://no-such-bucket-here, .*no such bucket"):
        new_dumps(store, "gs://no-such-bucket-here/in", 0.0, client)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def lay(inbox: Path, *names: str) -> None:
    """Put files there that keep an old time, as copies do that keep times."""
    for name in names:
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (1, 1))


def test_folders_and_dump_files_of_a_folder_are_new_until_they_are_registered(store: Store, inbox: Path) -> None:
    lay(inbox, "b/src/a.cc", "a repo/x.cc", "code.tar.gz", "code.tar.gz.md5", "_SUCCESS", ".part/x", "_part/x", "note")
    found = new_dumps(store, str(inbox), 0.0)
    assert [(a.name, a.url) for a in found] == [
        ("a-repo", f"{inbox}/a repo"),
        ("b", f"{inbox}/b"),
        ("code.tar.gz", f"{inbox}/code.tar.gz"),
    ]
    assert found[1].size_bytes == len("b/src/a.cc")
    assert register(store, found) == (["a-repo", "b", "code.tar.gz"], [])
    lay(inbox, "c/x.cc")
    assert [a.name for a in new_dumps(store, str(inbox), 0.0)] == ["c"]


@pytest.mark.parametrize("kept", ["a/x.cc", "a/deep/er/x.cc", "a.tar"])
def test_a_dump_that_is_still_being_copied_waits(store: Store, inbox: Path, kept: str) -> None:
    lay(inbox, kept)
    assert new_dumps(store, str(inbox), 3600.0) == []
    (found,) = new_dumps(store, str(inbox), 0.0)
    assert found.url == str(inbox / kept.split("/", maxsplit=1)[0])


def test_a_folder_without_a_file_is_no_dump_yet(store: Store, inbox: Path) -> None:
    (inbox / "a" / "src").mkdir(parents=True)
    assert new_dumps(store, str(inbox), 0.0) == []


def test_a_copy_under_a_name_of_its_own_is_taken_when_it_gets_its_name(store: Store, inbox: Path) -> None:
    lay(inbox, "_a/x.cc")
    assert new_dumps(store, str(inbox), 0.0) == []
    (inbox / "_a").rename(inbox / "a")
    assert [a.name for a in new_dumps(store, str(inbox), 0.0)] == ["a"]


def test_one_that_cannot_be_registered_does_not_stop_the_others(store: Store, inbox: Path) -> None:
    lay(inbox, "a b/x.cc", "a-b/x.cc", "good/x.cc", "taken/x.cc", "+++/x.cc", "???/x.cc")
    lay(inbox.parent, "elsewhere/x.cc")
    add_dump(store, inbox.parent / "elsewhere", "taken")
    names, refused = register(store, new_dumps(store, str(inbox), 0.0))
    assert names == ["good"]
    assert [r.partition(":")[0] for r in refused] == [
        f"{inbox}/a b and {inbox}/a-b would both be dump 'a-b'",
        f"{inbox}/+++ and {inbox}/??? would both be dump 'dump'",
        f"{inbox}/taken",
    ]
    assert "dump taken is already registered for" in refused[-1] and "--name NAME" in refused[-1]


def test_a_folder_that_is_not_there_is_told(store: Store, inbox: Path) -> None:
    with pytest.raises(ValueError, match="CPP_PIPELINE_INBOX=.*no-such: no such folder; make it"):
        new_dumps(store, str(inbox / "no-such"), 0.0)
