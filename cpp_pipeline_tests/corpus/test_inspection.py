"""A corpus is read back: good ones are of their sources, and each kind of damage is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cpp_pipeline.corpus.fim import fim_parts, raw_parts, split_random_fim, structured_parts
from cpp_pipeline.corpus.formats import Parts
from cpp_pipeline.corpus.inspection import SAMPLE_ROWS, Inspection, inspect, lossy_texts
from cpp_pipeline.corpus.mixing import build_corpus
from cpp_pipeline.corpus.packing import Packable, pack
from cpp_pipeline.corpus.shards import Ids, open_shards, write_shards
from cpp_pipeline.corpus.tokenizer import encode_parts, load_tokenizer, tokenizer_sha256
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.corpus.conftest import file_row, source_text

ROW = 513
Read = Callable[..., Inspection]


@pytest.fixture
def read(
    tmp_path: Path, files: pl.LazyFrame, pairs: pl.LazyFrame, problems: pl.LazyFrame, tokenizer_folder: Path
) -> Read:
    """Writes rows of ids as a corpus and reads it back."""

    def made(rows: list[Ids], excluded: Collection[str] = frozenset(), of: pl.LazyFrame = files) -> Inspection:
        tok = load_tokenizer(tokenizer_folder)
        facts = {"vocab": tok.get_vocab_size(), "pad_id": 0, "tokenizer_sha256": tokenizer_sha256(tokenizer_folder)}
        write_shards(rows, tmp_path / "shards", seq_tokens=ROW - 1, **facts)  # type: ignore[arg-type]
        return inspect(tmp_path / "shards", tokenizer_folder, of, pairs, problems, excluded)

    return made


def packed(tokenizer_folder: Path, *documents: Parts) -> list[Ids]:
    """Documents as rows of ids."""
    tok = load_tokenizer(tokenizer_folder)
    return list(pack([Packable(encode_parts(tok, parts)) for parts in documents], ROW, 0))


@pytest.mark.parametrize("seq_tokens", [128, 512])
def test_a_corpus_is_of_its_sources(
    tmp_path: Path,
    files: pl.LazyFrame,
    pairs: pl.LazyFrame,
    problems: pl.LazyFrame,
    tokenizer_folder: Path,
    seq_tokens: int,
) -> None:
    build_corpus(
        files, pairs, problems, tokenizer_folder, tmp_path, seq_tokens=seq_tokens, target_tokens=60_000, seed=0
    )
    found = inspect(tmp_path, tokenizer_folder, files, pairs, problems)
    assert (found.damaged, found.of_no_source) == ([], [])
    assert found.passed
    assert found.rows == min(SAMPLE_ROWS, open_shards(tmp_path).rows)
    assert min(found.documents[mode] for mode in ("raw", "random_fim", "structured_fim")) >= 5


FUNCTION = ("Adds the values and 3.", "int sum_3(const std::vector<int>& v)", "    int total = 3;\n")
BODY = "    int total = 3;\n    for (int x : v) total += x;\n    return total;\n"


@pytest.mark.parametrize(
    ("parts", "known"),
    [
        (raw_parts(source_text(5)), True),
        (raw_parts(source_text(5).replace("count", "number")), False),
        (raw_parts("int held_out_problem(int x) { return x; }\n"), False),
        (fim_parts(split_random_fim(source_text(5), "name", 0)), True),
        (fim_parts(split_random_fim(source_text(5), "name", 1)), True),
        (fim_parts(split_random_fim(source_text(5)[::-1], "name", 0)), False),
        (structured_parts(*FUNCTION[:2], BODY), True),
        (structured_parts(*FUNCTION), False),
        (structured_parts("Adds other values.", FUNCTION[1], BODY), False),
    ],
)
def test_what_no_source_holds_is_shown(read: Read, tokenizer_folder: Path, parts: Parts, known: bool) -> None:
    found = read(packed(tokenizer_folder, raw_parts(source_text(1)), parts))
    assert found.passed is known
    assert len(found.of_no_source) == (0 if known else 1)
    assert found.damaged == []


def test_an_excluded_file_is_no_source(read: Read, tokenizer_folder: Path) -> None:
    rows = packed(tokenizer_folder, raw_parts(source_text(5)))
    assert read(rows).passed
    found = read(rows, {"demo/words/include/words_5.h"})
    assert [text[:5] for text in found.of_no_source] == ["raw: "]


@pytest.mark.parametrize("epoch", [0, 1], ids=["suffix first", "prefix first"])
def test_parts_of_a_fim_document_in_another_order_do_not_come_back(
    read: Read, tokenizer_folder: Path, epoch: int
) -> None:
    """Prefix and suffix changed places: every token is one of the source, and the whole is not."""
    split = split_random_fim(source_text(5), "name", epoch)
    parts = list(fim_parts(split))
    texts = [n for n, part in enumerate(parts) if type(part) is str]
    parts[texts[0]], parts[texts[-1]] = parts[texts[-1]], parts[texts[0]]
    found = read(packed(tokenizer_folder, tuple(parts)))
    assert not found.passed


def test_a_fim_document_without_one_of_its_marks_is_damaged(read: Read, tokenizer_folder: Path) -> None:
    parts = structured_parts(*FUNCTION[:2], BODY)
    found = read(packed(tokenizer_folder, parts[:2] + parts[4:]))
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith("row 0: <FIM_PREFIX>")


def test_ids_that_no_text_gives_are_damage(read: Read, tokenizer_folder: Path) -> None:
    """Two letters as two ids where the tokenizer has one for both: the text is right, training would not be."""
    tok = load_tokenizer(tokenizer_folder)
    ids = encode_parts(tok, structured_parts(*FUNCTION[:2], BODY))
    place = next(n for n, i in enumerate(ids) if tok.id_to_token(i) == "int")
    split = [*ids[:place], *(tok.token_to_id(letter) for letter in "int"), *ids[place + 1 :]]
    found = read(list(pack([Packable(split)], ROW, 0)))
    assert len(found.damaged) == 1


def test_a_long_file_may_be_cut_anywhere(read: Read, tokenizer_folder: Path) -> None:
    text = "".join(f'const char* name_{n} = "Größe 世界 {n}";\n' for n in range(80))
    ids = encode_parts(load_tokenizer(tokenizer_folder), raw_parts(text))
    assert len(ids) > 3 * ROW
    of = TABLES["clean_files"].frame([file_row(0, text)])
    for start in range(1, 40):
        found = read(list(pack([Packable(ids[start:], may_cut=True)], ROW, 0)), of=of)
        assert found.passed, found


def test_a_corpus_of_padding_does_not_pass(read: Read) -> None:
    assert not read([np.zeros(ROW, dtype=np.uint32)]).passed


def test_a_tokenizer_that_lost_a_special_or_a_byte_is_seen(
    tmp_path: Path, tokenizer_folder: Path, files: pl.LazyFrame
) -> None:
    assert lossy_texts(tokenizer_folder, files) == []
    made = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    made["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(made))
    assert "demo/words/include/words_0.h" in lossy_texts(tmp_path, files)
    made["normalizer"] = None
    for token in made["added_tokens"]:
        token["content"] = token["content"].replace("FIM_MIDDLE", "FIM_MEDIAN")
    made["model"]["vocab"] = {k.replace("FIM_MIDDLE", "FIM_MEDIAN"): v for k, v in made["model"]["vocab"].items()}
    (tmp_path / "tokenizer.json").write_text(json.dumps(made))
    assert lossy_texts(tmp_path, files) == ["<FIM_MIDDLE>"]
