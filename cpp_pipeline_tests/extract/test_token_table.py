"""The compiled lexer has exactly the tokens, hashes and counts of the plain one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cpp_pipeline.extract import token_table as module
from cpp_pipeline.extract.lexer import cyclomatic, token_sha256, tokens
from cpp_pipeline.extract.token_table import token_hashes, token_table

SPACES = [chr(c) for c in range(0x3001) if chr(c).isspace()]
"""U+3000 is the last of them."""
PIECES = [
    *('R"(', ')"', 'R"x(', ')x"', 'u8R"', 'LR"é(', ')é"', 'R"0123456789abcdef(', 'R"0123456789abcdefg('),
    'R"' + "é" * 16,
    *('"', "'", "u8", "u", "U", "L", "R", '\\"', "\\'", "\\\\", "\\", "\n", "\r\n", "\r", "\t", "\f", "\v", " "),
    *("//", "/*", "*/", "/", "*", "\\\n", "\\ \t\r\n", "\\\r", "\\ x", "\x00", "\x1c", "\x85", "\u3000", "\ufeff"),
    *("größe", "变量", "²", "٣", "𝔘", "e\u0301", "_", "a", "if", "for", "while", "case", "catch", "and", "or"),
    *("0", "1", "'", "1'000", "0x1p", "1e", "+", "-", ".", ".5f", "5.", "e+", "P-", "E"),
    *("<", "<<", "=", "<=>", ">", "->", "*", "...", "::", ":", "++", "--", "&&", "||", "|", "&", "#", "##", "?"),
    *("android", "!", "^", "%", "~", ",", ";", "(", ")", "{", "}", "[", "]", "$", "@", "`"),
]
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(SPACES), st.characters(codec="utf-8"))).map("".join)


def check(texts: list[str]) -> None:
    table = token_table(texts)
    parts = [tokens(text) for text in texts]
    assert table.n_tokens.tolist() == [len(p) for p in parts]
    assert table.sha256 == [token_sha256(text) for text in texts]
    assert table.cyclomatic.tolist() == [cyclomatic(p) for p in parts]
    known: dict[str, int] = {}
    every = [token for p in parts for token in p]
    assert [known.setdefault(t, h) for t, h in zip(every, table.hashes.tolist(), strict=True)] == table.hashes.tolist()
    assert len(set(known.values())) == len(known)
    hashes, offsets = token_hashes(texts)
    assert np.array_equal(hashes, table.hashes)
    assert np.array_equal(offsets, table.offsets)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, max_size=4))
@example([])
@example(["", "int a;", ""])
@example(['"\\"\\"\\"', "'\\'\\'", '"\\"\n"x"', "''a'", "u8'' u8\"", '"\\ \n\\"'])
def test_equal_to_the_plain_lexer(texts: list[str]) -> None:
    check(texts)


def test_a_real_source_file() -> None:
    sources = sorted((Path(__file__).parents[2] / "cpp_pipeline").rglob("*.hpp"))
    check([Path(__file__).read_text(), *(path.read_text() for path in sources)])


def test_texts_longer_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["int a;", "b" * 50, "", "c d " * 30, "", "e"]
    whole = token_table(texts)
    monkeypatch.setattr(module, "_BATCH_BYTES", 16)
    parts = token_table(texts)
    assert parts.sha256 == whole.sha256
    assert parts.offsets.tolist() == whole.offsets.tolist()
    assert np.array_equal(parts.hashes, whole.hashes)


def test_slices_chunks_and_nulls_of_a_series() -> None:
    series = pl.concat([pl.Series(["a b", "c"]), pl.Series([None, "d e f"], dtype=pl.String)], rechunk=False)
    assert token_table(series[1:]).n_tokens.tolist() == [1, 0, 3]
    assert token_table(series[1:]).sha256 == [token_sha256(text) for text in ("c", "", "d e f")]


@pytest.mark.parametrize("piece", ['R"(', '"', '\\"', "/*", "'", "\\'", "\\\n", "//\\\n", "\\    ", "\0", 'R"x(', ")"])
def test_pathological_text_is_linear(piece: str) -> None:
    """A quadratic lexer would take minutes for these."""
    check([('R"x(' if piece == ")" else '"\\' if piece == '\\"' else "") + piece * 5_000])
    token_hashes(['"' + piece * 500_000])


def test_another_process_gives_the_same_hashes() -> None:
    code = "from cpp_pipeline.extract.token_table import token_hashes; print(token_hashes(['int a = 1;'])[0].tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(token_hashes(["int a = 1;"])[0].tolist())


def test_stored_hashes_stay_what_they_are() -> None:
    """Signatures in stored tables rest on them: if this fails, raise the version of the signatures."""
    assert token_hashes(["x"])[0].tolist() == [PINNED]


PINNED = 13302473125216426575
