"""What a bucket shows of tables and folders while they are written, killed, replaced and cleared away."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from upath import UPath

from cpp_pipeline.storage.in_bucket import InBucket
from cpp_pipeline.storage.place import Refused, at
from cpp_pipeline.storage.store import Provenance, Store
from cpp_pipeline.storage.versions import HIDDEN, Versions
from cpp_pipeline_tests.gcs.fixtures import objects

SEED, KILLS = 6, 2
FILES = 12

PUBLISH = """
import json, sys
from cpp_pipeline.storage.store import Provenance, Store
store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), 10**6):
    work = store.work("base_checkpoint", f"{number:032d}")
    for name in range(int(sys.argv[3])):
        (work / f"part-{name}").write_text(f"{number} " * 20_000)
    (work / "result.json").write_text(json.dumps({"number": number}))
    store.publish("checkpoints", work, Provenance("base_checkpoint", None, "", "", "", str(number)))
"""
TABLE = """
import sys
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Provenance, Store
store = Store(sys.argv[1])
rows = [dict(dump="d", path=str(i), size_bytes=i, sha256=f"{i:064d}") for i in range(20_000)]
for number in range(int(sys.argv[2]), 10**6):
    store.write_table(TABLES["repo_dump"].frame(rows), Provenance("repo_dump", "x", "", "", "", str(number)))
"""


@pytest.fixture
def versions(bucket: str) -> Versions:
    return Versions(UPath(f"{bucket}/root/thing.json"))


def files(folder: Path, **contents: str) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in contents}


def names(versions: Versions) -> list[str]:
    return at(versions.record.parent / HIDDEN / "thing").names()


def test_the_record_is_written_last_and_names_what_counts(versions: Versions, tmp_path: Path) -> None:
    assert versions.current() is None
    folder = versions.commit(files(tmp_path, a="1", b="22"), {"fact": 3})
    found = versions.current()
    assert found is not None and (dict(found.files), dict(found.facts)) == ({"a": 1, "b": 2}, {"fact": 3})
    assert versions.folder(found) == folder and at(folder / "b").read() == b"22"


def test_a_refused_version_leaves_nothing(versions: Versions, tmp_path: Path) -> None:
    versions.commit(files(tmp_path, a="1"), {}, "")
    with pytest.raises(Refused, match="thing.json: another writer"):
        versions.commit(files(tmp_path, a="late"), {}, "")
    assert len(names(versions)) == 1


def test_the_version_before_stays_for_its_readers_and_the_ones_before_that_go(
    versions: Versions, tmp_path: Path
) -> None:
    made = [versions.commit(files(tmp_path, a=text), {}).name for text in "123"]
    assert sorted(names(versions)) == sorted(made)  # younger than a day
    assert versions.clear(stale_seconds=0.0) == 2
    assert names(versions) == made[2:]
    made.append(versions.commit(files(tmp_path, a="4"), {}).name)
    made.append(versions.commit(files(tmp_path, a="5"), {}).name)
    time.sleep(1.1)  # what was uploaded is older than this, and the record is not
    at(versions.record).write(json.dumps({**json.loads(objects(str(versions.record))[""]), "committed": 9e9}).encode())
    assert versions.clear(stale_seconds=1.0) == 1
    assert sorted(names(versions)) == sorted(made[3:])


def test_what_was_never_committed_goes_when_it_is_old(bucket: str) -> None:
    kept = InBucket(UPath(bucket))
    for name in ("tables/repo_dump/.versions/x/id/x.parquet", "checkpoints/base_checkpoint/.versions/commit/id/part"):
        at(f"{bucket}/{name}").write(b"half")
    assert kept.partitions("repo_dump") == [] and kept.manifest("checkpoints", "base_checkpoint") is None
    assert kept.sweep() == 0 and len(objects(bucket)) == 2  # somebody may be uploading it
    assert kept.sweep(stale_seconds=0.0) == 2 and objects(bucket) == {}


def test_a_record_of_others_is_named(versions: Versions) -> None:
    at(versions.record).write(b'{"nothing": 1}')
    with pytest.raises(ValueError, match=r"thing.json is no record .* delete it"):
        versions.current()


def kill_after(uploads: int, folder: str, script: str, *arguments: str) -> None:
    """Start a writer, and kill it when so many further objects lie below a folder."""
    before = len(at(folder).files())
    writer = subprocess.Popen([sys.executable, "-c", script, *arguments])
    try:
        while len(at(folder).files()) < before + uploads:
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_a_killed_upload_of_a_folder_leaves_nothing_half(bucket: str) -> None:
    draw, store, seen = random.Random(SEED), Store(bucket), set()
    for _ in range(KILLS):
        found = store.result("checkpoints", "base_checkpoint")
        number = found["number"] if found else 0
        kill_after(draw.randint(1, 2 * FILES), f"{bucket}/checkpoints", PUBLISH, bucket, str(number + 1), str(FILES))
        found = store.result("checkpoints", "base_checkpoint")
        seen.add(found["number"] if found else 0)
        if found is not None:
            folder = store.local_folder("checkpoints", "base_checkpoint")
            parts = sorted(p for p in folder.iterdir() if p.name != "result.json")
            assert len(parts) == FILES
            assert {p.read_text() for p in parts} == {f"{found['number']} " * 20_000}
            assert store.provenance("base_checkpoint") == Provenance(
                "base_checkpoint", None, "", "", "", str(found["number"])
            )
    uploads = at(f"{bucket}/checkpoints/base_checkpoint/.versions/commit").names()
    print(f"{KILLS} kills: {len(uploads)} uploads begun, the last that counts is {max(seen)}")
    assert len(uploads) > max(seen)  # some were begun and never came to count
    assert InBucket(store.root).sweep(stale_seconds=0.0) == len(uploads) - bool(max(seen))
    left = at(f"{bucket}/checkpoints/base_checkpoint/.versions/commit").names()
    assert len(left) == bool(max(seen))


def test_a_killed_upload_of_a_table_leaves_nothing_half(bucket: str) -> None:
    draw, store = random.Random(SEED), Store(bucket)
    for _ in range(KILLS // 2):
        found = store.provenance("repo_dump", "x")
        number = int(found.data_version) + 1 if found else 1
        kill_after(draw.randint(1, 3), f"{bucket}/tables", TABLE, bucket, str(number))
        assert store.partitions("repo_dump") in ([], ["x"])
        if store.partitions("repo_dump"):
            assert store.scan("repo_dump").collect()["path"].to_list() == [str(i) for i in range(20_000)]
    assert [n for n in objects(bucket) if not n.startswith("tables/repo_dump/")] == []
