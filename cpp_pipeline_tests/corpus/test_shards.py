"""Rows on disk and the order in which they are read; packing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.corpus.packing import Packable, pack
from cpp_pipeline.corpus.shards import Shards, open_shards, write_shards

ROWS = 23


def _write(folder: Path, rows: int = ROWS) -> Shards:
    data = (np.full(9, n, dtype=np.uint32) for n in range(rows))
    write_shards(data, folder, seq_tokens=8, vocab=1024, pad_id=0, tokenizer_sha256="0" * 64, shard_bytes=100)
    return open_shards(folder, verify=True)


def test_rows_come_back_over_several_files(tmp_path: Path) -> None:
    shards = _write(tmp_path)
    assert len(shards.maps) == 5
    assert shards.maps[0].dtype == np.uint16
    assert [int(shards.row(n)[0]) for n in range(ROWS)] == list(range(ROWS))
    assert shards.batch(0, 4, 0).shape == (4, 9)


@given(seed=st.integers(0, 5), batch_size=st.integers(1, 30), epochs=st.integers(1, 3))
def test_an_epoch_shows_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, batch_size: int, epochs: int
) -> None:
    shards = _write(tmp_path_factory.mktemp("shards"))
    steps = -(-ROWS * epochs // batch_size)
    seen = np.concatenate([shards.batch(s, batch_size, seed)[:, 0] for s in range(steps)])
    for epoch in range(epochs):
        assert sorted(seen[epoch * ROWS : (epoch + 1) * ROWS]) == list(range(ROWS))


def test_batch_is_a_pure_function_of_its_arguments(tmp_path: Path) -> None:
    shards = _write(tmp_path)
    wanted = shards.batch(7, 5, 1)
    shards.batch(3, 5, 2)
    again = open_shards(tmp_path).batch(7, 5, 1)
    assert np.array_equal(wanted, again)
    assert not np.array_equal(wanted, shards.batch(7, 5, 2))


def test_without_a_manifest_the_folder_is_unfinished(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="no manifest"):
        open_shards(tmp_path)


def test_a_cut_or_changed_file_is_found(tmp_path: Path) -> None:
    _write(tmp_path)
    file = tmp_path / "tokens-00001.bin"
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        open_shards(tmp_path, verify=True)
    file.write_bytes(data[:-1])
    with pytest.raises(ValueError, match="bytes, not what its manifest says"):
        open_shards(tmp_path)


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    options = {"seq_tokens": 8, "vocab": 10, "pad_id": 0, "tokenizer_sha256": ""}
    with pytest.raises(ValueError, match="a row has 3 tokens"):
        write_shards([np.zeros(3, dtype=np.uint32)], tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vocabulary of 10"):
        write_shards([np.full(9, 10, dtype=np.uint32)], tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the corpus is empty"):
        write_shards([], tmp_path, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "manifest.json").exists()


@given(
    st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=60),
    st.integers(1, 25),
)
def test_packing_holds_every_token_once_and_cuts_only_what_may_be_cut(
    documents: list[tuple[int, bool]], window: int
) -> None:
    given_documents = [Packable([n + 1] * length, cut) for n, (length, cut) in enumerate(documents)]
    rows = list(pack(given_documents, 20, 0, window))
    assert all(len(row) == 20 for row in rows)
    for document in given_documents:
        counts = [int((row == document.ids[0]).sum()) for row in rows]
        assert sum(counts) == len(document.ids)
        assert document.may_cut or max(counts) == len(document.ids)


def test_packing_refuses_a_document_longer_than_a_row() -> None:
    with pytest.raises(ValueError, match="21 tokens does not fit rows of 20"):
        list(pack([Packable([1] * 21)], 20, 0))
