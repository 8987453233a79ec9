"""New dumps below a prefix, by the client that dagster-gcp gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dagster_gcp.gcs import GCSResource

from cpp_pipeline.storage.arrivals import Arrival, new_dumps
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
    found = new_dumps(store, client, f"{bucket}/in/", settled_seconds=0.0)
    assert found == [
        Arrival("a-repo", f"{bucket}/in/a repo", 1, len("a repo/x.cc")),
        Arrival("b", f"{bucket}/in/b", 2, len("b/src/a.cc") + len("b/README")),
        Arrival("code.tar.gz", f"{bucket}/in/code.tar.gz", 1, len("code.tar.gz")),
    ]
    for arrival in found[:2]:
        add_dump(store, arrival.url, arrival.name)
    put(bucket, "c/x.cc")
    names = [a.name for a in new_dumps(store, client, f"{bucket}/in", settled_seconds=0.0)]
    assert names == ["c", "code.tar.gz"]


def test_a_dump_that_is_still_being_uploaded_waits(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "a/x.cc")
    assert new_dumps(store, client, f"{bucket}/in", settled_seconds=3600.0) == []
    assert [a.name for a in new_dumps(store, client, f"{bucket}/in", settled_seconds=0.0)] == ["a"]


def test_a_whole_bucket_may_be_the_place_of_dumps(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "x.cc")
    assert [a.url for a in new_dumps(store, client, bucket, settled_seconds=0.0)] == [f"{bucket}/in"]


def test_what_cannot_be_is_told(store: Store, client: Any, bucket: str) -> None:
    put(bucket, "a b/x.cc", "a-b/x.cc")
    with pytest.raises(ValueError, match=r"would both be dump 'a-b'; name one of them first"):
        new_dumps(store, client, f"{bucket}/in", settled_seconds=0.0)
    with pytest.raises(ValueError, match="/local: dumps arrive below gs://bucket/prefix"):
        new_dumps(store, client, "/local")
    with pytest.raises(BucketError, match="place of new dumps names gs://no-such-bucket-here, .*no such bucket"):
        new_dumps(store, client, "gs://no-such-bucket-here/in")
