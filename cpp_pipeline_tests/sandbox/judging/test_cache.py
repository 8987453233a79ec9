"""The store of verdicts: bounded, shared, and never a cause of trouble or of a wrong value."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cpp_pipeline
from cpp_pipeline.sandbox.judging.cache import MOST_BYTES, VerdictCache, default_cache_folder
from cpp_pipeline.settings import Settings

ROOT = Path(cpp_pipeline.__path__[0]).parent
FILE = "verdicts-1.sqlite"


def _kept(cache: VerdictCache, keys: list[str]) -> set[str]:
    return {key for key in keys if cache.get_many([key])}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.one_of(st.binary(max_size=300), st.text(max_size=300)), max_size=20))
def test_what_was_put_comes_back(values: dict[str, bytes | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = VerdictCache(Path(folder, "made", "here"), "v")
        first.put_many(values)
        wanted = {k: v.encode() if isinstance(v, str) else v for k, v in values.items()}
        assert first.get_many([*values, "absent" * 9]) == wanted
        first.close()
        second = VerdictCache(Path(folder, "made", "here"), "v")
        assert second.get_many(list(values)) == wanted
        assert second.counts == {"hits": len(values), "misses": 0, "damaged": 0} or not values
        second.close()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True))),
)
def test_rows_are_bounded_and_those_used_longest_ago_go_first(most: int, steps: list[tuple[bool, list[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache, model = VerdictCache(Path(folder), "v", max_rows=most), OrderedDict[str, bytes]()
        for number, (put, keys) in enumerate(steps):
            if put:
                values = {key: f"{key}{number}".encode() for key in keys}
                cache.put_many(values)
                for key, value in values.items():
                    model.pop(key, None)
                    model[key] = value
                while len(model) > most:
                    model.popitem(last=False)
            else:
                assert cache.get_many(keys) == {k: model[k] for k in keys if k in model}
                for key in keys:
                    if key in model:
                        model.move_to_end(key)
        cache.close()
        with sqlite3.connect(Path(folder, FILE)) as db:
            rows = db.execute("SELECT key, value FROM verdicts ORDER BY used").fetchall()
        db.close()
        assert rows == list(model.items())


def test_versions_do_not_see_each_other_and_old_ones_are_pruned(tmp_path: Path) -> None:
    for number in range(6):
        cache = VerdictCache(tmp_path, f"v{number}")
        assert cache.get_many(["k"]) == {}
        cache.put_many({"k": str(number)})
        cache.close()
    found = {}
    for number in (5, 4, 3, 0):
        cache = VerdictCache.open(tmp_path, f"v{number}")
        found[number] = cache.get_many(["k"]).get("k")
        cache.close()
    assert found == {5: b"5", 4: b"4", 3: b"3", 0: None}


def test_large_values_are_not_kept(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v")
    cache.put_many({"fits": "x" * MOST_BYTES, "large": "x" * (MOST_BYTES + 1)})
    assert set(cache.get_many(["fits", "large"])) == {"fits"}
    cache.close()


def test_without_a_folder_nothing_is_kept() -> None:
    cache = VerdictCache.open(None, "v")
    cache.put_many({"k": "1"})
    assert (cache.get_many(["k"]), cache.counts["failures"]) == ({}, 0)
    cache.close()


def test_a_closed_store_finds_and_keeps_nothing(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v")
    cache.put_many({"k": "1"})
    cache.close()
    cache.put_many({"k": "2"})
    assert cache.get_many(["k"]) == {}
    again = VerdictCache(tmp_path, "v")
    assert again.get_many(["k"]) == {"k": b"1"}
    again.close()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    cache = VerdictCache(folder, "v", rest_seconds=0)
    for _ in range(3):
        cache.put_many({"k": "1"})
    assert cache.get_many(["k"]) == {}
    assert list(folder.iterdir()) == []
    assert cache.counts["failures"] == 5
    (line,) = caplog.messages  # once, with the remedy
    assert "chmod go-w" in line
    assert "CPP_PIPELINE_VERDICT_CACHE" in line
    folder.chmod(0o700)
    cache.put_many({"k": "1"})
    assert cache.get_many(["k"]) == {"k": b"1"}
    cache.close()


def test_a_link_and_a_file_in_place_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "file/below"):
        cache = VerdictCache(tmp_path / name, "v", rest_seconds=0)
        cache.put_many({"k": "1"})
        assert cache.get_many(["k"]) == {}
        assert cache.counts["failures"] == 3
        cache.close()
    assert list((tmp_path / "real").iterdir()) == []


def test_after_trouble_the_file_is_left_alone_for_a_while(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    cache = VerdictCache(tmp_path, "v")
    for _ in range(5):
        cache.put_many({"k": "1"})
    assert (cache.get_many(["k"]), cache.counts["failures"]) == ({}, 1)
    cache.close()


def test_a_damaged_file_is_moved_aside_and_started_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    cache = VerdictCache(tmp_path, "v")
    cache.put_many({"k": "1"})
    assert cache.get_many(["k"]) == {"k": b"1"}
    assert (tmp_path / f"{FILE}.damaged").read_bytes().startswith(b"no database")
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
    cache.close()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_makes_a_wrong_value_or_an_exception(data: st.DataObject) -> None:
    values = {f"key{n}": f"value{n}" * 40 for n in range(60)}
    with tempfile.TemporaryDirectory() as folder:
        cache = VerdictCache(Path(folder), "v")
        cache.put_many(values)
        cache.close()
        path = Path(folder, FILE)
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 30))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            del raw[data.draw(st.integers(0, len(raw))) :]
        path.write_bytes(raw)
        cache = VerdictCache(Path(folder), "v", rest_seconds=0)
        found = cache.get_many(list(values))
        cache.put_many({"other": "1"})
        found |= {k: v for k, v in cache.get_many(list(values)).items() if k not in found}
        cache.close()
    assert all(value == values[key].encode() for key, value in found.items())


def test_a_changed_value_is_not_believed(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v")
    cache.put_many({"a": '{"verdict": "WA"}', "b": '{"verdict": "AC"}'})
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("UPDATE verdicts SET value = (SELECT value FROM verdicts WHERE key = 'b')")
    db.close()
    assert cache.get_many(["a", "b"]) == {"b": b'{"verdict": "AC"}'}
    assert cache.counts["damaged"] == 1
    cache.put_many({"a": "anew"})
    assert cache.get_many(["a"]) == {"a": b"anew"}
    cache.close()


def test_a_file_that_vanishes_is_started_anew(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v")
    cache.put_many({"k": "1"})
    for path in tmp_path.iterdir():
        path.rename(path.with_name(f"{path.name}.moved"))
    cache.put_many({"k": "2"})
    assert cache.get_many(["k"]) == {"k": b"2"}
    assert (tmp_path / FILE).exists()
    cache.close()


def test_a_locked_file_can_be_read_and_costs_only_the_new_values(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v", rest_seconds=0)
    cache.put_many({"k": "1"})
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert cache.get_many(["k"]) == {"k": b"1"}
    cache.put_many({"new": "2"})
    assert cache.counts["failures"] == 2
    other.execute("ROLLBACK")
    other.close()
    assert cache.get_many(["k", "new"]) == {"k": b"1"}
    cache.close()


WRITER = """
import sys
from pathlib import Path
from cpp_pipeline.sandbox.judging.cache import VerdictCache
cache = VerdictCache(Path(sys.argv[1]), "v", max_rows=int(sys.argv[3]), rest_seconds=0)
opening = cache.counts["failures"]
for n in range(int(sys.argv[4])):
    if n % 100 == 5:
        print("writing", flush=True)
    cache.put_many({f"{sys.argv[2]}-{n}-{i}": f"{sys.argv[2]}-{n}-{i}" for i in range(10)})
print(opening, cache.counts["failures"] - opening, flush=True)
"""


def _writer(folder: Path, name: str, most: int, rounds: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WRITER, str(folder), name, str(most), str(rounds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, name, 10_000, 30) for name in "ab"]
    said = [w.communicate()[0].split() for w in writers]
    lost = sum(int(count) for *_, count in said)  # a writer that waits too long for the other gives up, and counts it
    assert lost < 30
    keys = [f"{name}-{n}-{i}" for name in "ab" for n in range(30) for i in range(10)]
    cache = VerdictCache(tmp_path, "v")
    found = cache.get_many(keys)
    assert found == {key: key.encode() for key in found}
    assert len(found) == len(keys) - 10 * lost
    cache.close()


def test_processes_that_make_the_file_at_once_all_use_it(tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / str(number)
        said = [w.communicate()[0].split() for w in [_writer(folder, name, 10_000, 1) for name in "abcd"]]
        assert said == [["0", "0"]] * 4


def test_a_killed_writer_leaves_a_usable_file(tmp_path: Path) -> None:
    for _ in range(3):
        writer = _writer(tmp_path, "k", 40, 10**9)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        cache = VerdictCache(tmp_path, "v", max_rows=40)
        cache.put_many({"after": "1"})
        assert cache.get_many(["after"]) == {"after": b"1"}
        cache.close()
        again = VerdictCache(tmp_path, "v", max_rows=40)
        assert again.get_many(["after"]) == {"after": b"1"}
        assert again.counts["failures"] == 0
        again.close()
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0] <= 40
    db.close()


def test_threads_share_one_store(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "v")

    def work(name: int) -> None:
        for n in range(20):
            cache.put_many({f"{name}-{n}": f"{name}-{n}"})
            assert cache.get_many([f"{name}-{n}"]) == {f"{name}-{n}": f"{name}-{n}".encode()}

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_kept(cache, [f"{name}-{n}" for name in range(4) for n in range(20)])) == 80
    assert cache.counts["failures"] == 0
    cache.close()


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({}, Path.home() / ".cache" / "cpp-pipeline" / "verdicts"),
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/cpp-pipeline/verdicts")),
        ({"XDG_CACHE_HOME": "/x", "CPP_PIPELINE_VERDICT_CACHE": "/y/z"}, Path("/y/z")),
        ({"CPP_PIPELINE_VERDICT_CACHE": "none"}, None),
    ],
)
def test_the_settings_name_the_folder(env: dict[str, str], folder: Path | None) -> None:
    assert default_cache_folder(Settings.from_env(env)) == folder
