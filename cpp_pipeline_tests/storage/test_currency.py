"""An asset is current exactly when nothing that it is made from changed."""

from pathlib import Path

import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.currency import Recipe, inputs_digest, is_current, judging_machine, stamp
from cpp_pipeline.storage.dumps import add_dump, add_problems, dumps, remove_dump
from cpp_pipeline.storage.store import Store

RECIPE = Recipe("cmake_packages", ("clean_files",), "code", "config")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "root"))
    files = TABLES["clean_files"].empty()
    source = Recipe("clean_files", (), "code", "")
    store.write_table(files, stamp(source, "one", inputs_digest(store, source, "one"), "version 1", 0))
    store.write_table(TABLES["cmake_packages"].empty(), stamp(RECIPE, None, inputs_digest(store, RECIPE, None), "v", 0))
    return store


def rewrite(store: Store, partition: str, version: str) -> None:
    source = Recipe("clean_files", (), "code", "")
    store.write_table(
        TABLES["clean_files"].empty(), stamp(source, partition, inputs_digest(store, source, partition), version, 0)
    )


def test_an_untouched_asset_is_current(store: Store) -> None:
    assert is_current(store, RECIPE, None)


def test_an_input_that_was_made_again_alike_leaves_it_current(store: Store) -> None:
    rewrite(store, "one", "version 1")
    assert is_current(store, RECIPE, None)


def test_a_changed_input_a_new_partition_and_a_lost_one_make_it_stale(store: Store) -> None:
    rewrite(store, "one", "version 2")
    assert not is_current(store, RECIPE, None)
    rewrite(store, "one", "version 1")
    rewrite(store, "two", "version 1")
    assert not is_current(store, RECIPE, None)
    store.table_path("clean_files", "two").unlink()
    assert is_current(store, RECIPE, None)
    store.table_path("clean_files", "one").unlink()
    assert not is_current(store, RECIPE, None)


@pytest.mark.parametrize(
    "changed",
    [Recipe("cmake_packages", ("clean_files",), "code 2", "config"), Recipe("cmake_packages", (), "code", "config")],
)
def test_changed_code_or_inputs_make_it_stale(store: Store, changed: Recipe) -> None:
    assert not is_current(store, changed, None)


def test_a_changed_dump_makes_its_listing_stale(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / "a.cpp").write_text("int a;")
    add_dump(store, folder, "d")
    listing = Recipe("repo_dump", (), "code", "")
    store.write_table(TABLES["repo_dump"].empty(), stamp(listing, "d", inputs_digest(store, listing, "d"), "v", 0))
    assert is_current(store, listing, "d")
    (folder / "b.cpp").write_text("int b;")
    assert not is_current(store, listing, "d")


def test_a_problem_set_of_the_user_makes_the_held_out_problems_stale(store: Store, tmp_path: Path) -> None:
    recipe = Recipe("eval_problems", (), "code", "")
    before = inputs_digest(store, recipe, None)
    (tmp_path / "mine.jsonl").write_text("{}\n")
    add_problems(store, tmp_path / "mine.jsonl")
    assert inputs_digest(store, recipe, None) != before


def test_dumps_are_registered_once_and_removed_with_their_partitions(store: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    add_dump(store, first, "one")
    with pytest.raises(ValueError, match="already registered"):
        add_dump(store, second, "one")
    with pytest.raises(ValueError, match="a/b"):
        add_dump(store, second, "a/b")
    with pytest.raises(ValueError, match="lies inside the dump"):
        add_dump(store, tmp_path, "two")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        add_dump(store, tmp_path / "nowhere", "two")
    assert [d.name for d in dumps(store)] == ["one"]
    remove_dump(store, "one")
    assert (dumps(store), store.partitions("clean_files")) == ([], [])


def test_the_judging_machine_decides_about_the_canaries(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe("sandbox_canaries", (), "code", "")
    here = inputs_digest(store, recipe, None)
    judging_machine.cache_clear()
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:9")
    assert inputs_digest(store, recipe, None) != here
    judging_machine.cache_clear()
