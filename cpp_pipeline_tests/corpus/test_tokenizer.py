"""Byte-level BPE: nothing is lost, nothing is injected, equal input gives equal files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from cpp_pipeline.corpus.formats import SPECIALS, Special, chat_text, structured_fim
from cpp_pipeline.corpus.tokenizer import (
    decode,
    encode_many,
    encode_parts,
    encode_plain,
    encode_with_specials,
    load_tokenizer,
    special_id,
    train_tokenizer,
)
from cpp_pipeline_tests.corpus.conftest import source_text

source = st.lists(st.one_of(st.sampled_from(SPECIALS), st.text(max_size=12))).map("".join)


@given(text=source)
def test_source_text_round_trips_and_never_yields_a_special(tokenizer_folder: Path, text: str) -> None:
    tok = load_tokenizer(tokenizer_folder)
    ids = encode_plain(tok, text)
    assert decode(tok, ids) == text
    assert not [i for i in ids if i < len(SPECIALS)]


@given(text=source, other=source)
def test_parts_have_one_id_per_special(tokenizer_folder: Path, text: str, other: str) -> None:
    tok = load_tokenizer(tokenizer_folder)
    ids = encode_parts(tok, (text, Special("<EOT>"), other))
    assert [i for i in ids if i < len(SPECIALS)] == [special_id(tok, "<EOT>")]
    assert decode(tok, ids) == f"{text}<EOT>{other}"


def test_specials_come_first_in_order(tokenizer_folder: Path) -> None:
    tok = load_tokenizer(tokenizer_folder)
    assert [tok.token_to_id(s) for s in SPECIALS] == list(range(len(SPECIALS)))


def test_digits_are_single_in_a_small_vocabulary(tmp_path: Path) -> None:
    train_tokenizer(iter(["x = 1234567;\n" * 200]), 300, tmp_path)
    tok = load_tokenizer(tmp_path)
    assert len(encode_plain(tok, "1234567")) == 7


def test_batches_equal_single_calls(tokenizer_folder: Path) -> None:
    tok = load_tokenizer(tokenizer_folder)
    texts = [source_text(n) for n in range(3)]
    assert encode_many(tok, texts) == [encode_plain(tok, t) for t in texts]


def test_auto_tokenizer_agrees(tokenizer_folder: Path) -> None:
    auto = AutoTokenizer.from_pretrained(tokenizer_folder)
    tok = load_tokenizer(tokenizer_folder)
    for text in (chat_text("Do it", "int f();\n"), structured_fim("A doc", "int f()", "    return 42;\n")):
        assert auto(text)["input_ids"] == encode_with_specials(tok, text)
        assert auto.decode(encode_with_specials(tok, text)) == text
    assert (auto.eos_token, auto.pad_token) == ("<EOT>", "<pad>")


def test_equal_texts_give_equal_files(tmp_path: Path) -> None:
    texts = [source_text(n) for n in range(5)]
    facts = [train_tokenizer(iter(texts), 400, tmp_path / name) for name in ("a", "b")]
    assert facts[0] == facts[1]
    assert facts[0]["texts"] == 5
    assert facts[0]["vocab"] == 400


def test_too_small_a_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are needed for the specials and all bytes"):
        train_tokenizer(iter(["a"]), 200, tmp_path)


def test_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text to train"):
        train_tokenizer(iter([]), 400, tmp_path)


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="materialize `tokenizer`"):
        load_tokenizer(tmp_path)


def test_an_unknown_special_is_named(tokenizer_folder: Path) -> None:
    with pytest.raises(KeyError, match="<nope>"):
        special_id(load_tokenizer(tokenizer_folder), "<nope>")
