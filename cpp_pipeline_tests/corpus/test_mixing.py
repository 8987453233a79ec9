"""The corpus holds its shares, repeats with new cuts, and says what it lacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.corpus.formats import SPECIALS
from cpp_pipeline.corpus.mixing import MODE_SHARES, build_corpus, cell_quotas, tokenizer_texts
from cpp_pipeline.corpus.sft import excluded
from cpp_pipeline.corpus.shards import open_shards
from cpp_pipeline.corpus.sources import body_lines, body_of, chunk_at_line_ends, documented, half
from cpp_pipeline.corpus.tokenizer import decode, load_tokenizer
from cpp_pipeline.curate.decontaminate import hits, training_texts
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.corpus.conftest import file_row, source_text
from cpp_pipeline_tests.extract.rows import problem

TARGET = 40_000


def _texts(folder: Path, tokenizer_folder: Path) -> str:
    tok, shards = load_tokenizer(tokenizer_folder), open_shards(folder)
    return "\n".join(decode(tok, shards.row(n).tolist()) for n in range(shards.rows))


def test_shares_hold_by_tokens_and_the_manifest_says_so(
    tmp_path: Path, files: pl.LazyFrame, pairs: pl.LazyFrame, problems: pl.LazyFrame, tokenizer_folder: Path
) -> None:
    stats = build_corpus(
        files, pairs, problems, tokenizer_folder, tmp_path, seq_tokens=128, target_tokens=TARGET, seed=0
    )
    for mode, wanted in MODE_SHARES.items():
        assert stats["share_by_mode"][mode] == pytest.approx(wanted, abs=0.005)
    assert stats["tokens_by_source"]["family"] / stats["tokens"] == pytest.approx(0.5, abs=0.01)
    assert TARGET <= stats["tokens"] < TARGET + 129
    assert stats["padding_share"] < 0.03
    assert not stats["notes"]
    shards = open_shards(tmp_path, verify=True)
    assert shards.manifest["stats"] == stats
    tokens = sum(int((shards.row(n) != shards.pad_id).sum()) for n in range(shards.rows))
    assert tokens == stats["tokens"]


def test_documents_are_in_doc_style_with_varied_entry_names(
    tmp_path: Path, files: pl.LazyFrame, pairs: pl.LazyFrame, problems: pl.LazyFrame, tokenizer_folder: Path
) -> None:
    build_corpus(files, pairs, problems, tokenizer_folder, tmp_path, seq_tokens=256, target_tokens=TARGET, seed=0)
    text = _texts(tmp_path, tokenizer_folder)
    assert "/// " in text
    assert sum(f" {name}(const std::vector<int>& v) {{" in text for name in ("solve", "digest", "combine")) == 3
    assert "<FIM_PREFIX>\n/* " in text


def test_equal_input_gives_equal_shards(
    tmp_path: Path, files: pl.LazyFrame, pairs: pl.LazyFrame, problems: pl.LazyFrame, tokenizer_folder: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / name
        build_corpus(files, pairs, problems, tokenizer_folder, out, seq_tokens=128, target_tokens=5000, seed=seed)
    manifests = [(tmp_path / n / "manifest.json").read_text() for n in "abc"]
    assert manifests[0] == manifests[1] != manifests[2]


def test_too_little_real_code_is_filled_by_the_family_and_noted(
    tmp_path: Path, problems: pl.LazyFrame, tokenizer_folder: Path
) -> None:
    stats = build_corpus(
        TABLES["clean_files"].frame([file_row(0)]),
        TABLES["docstring_pairs"].empty(),
        problems,
        tokenizer_folder,
        tmp_path,
        seq_tokens=128,
        target_tokens=TARGET,
        seed=0,
    )
    assert stats["passes"]["real"] == 4
    assert any(note.startswith("too little real text for raw") for note in stats["notes"])
    assert any("too little docstring text" in note for note in stats["notes"])
    for mode, wanted in MODE_SHARES.items():
        assert stats["share_by_mode"][mode] == pytest.approx(wanted, abs=0.005)


def test_real_code_alone_repeats_until_the_target(tmp_path: Path, tokenizer_folder: Path) -> None:
    stats = build_corpus(
        TABLES["clean_files"].frame([file_row(0), file_row(1)]),
        TABLES["docstring_pairs"].empty(),
        TABLES["train_problems"].empty(),
        tokenizer_folder,
        tmp_path,
        seq_tokens=128,
        target_tokens=10_000,
        seed=0,
    )
    assert stats["tokens"] >= 10_000
    assert set(stats["tokens_by_source"]) == {"real"}
    assert any("no source is left for structured_fim" in note for note in stats["notes"])


def test_nothing_at_all_is_an_error(tmp_path: Path, tokenizer_folder: Path) -> None:
    empty = [TABLES[t].empty() for t in ("clean_files", "docstring_pairs", "train_problems")]
    with pytest.raises(ValueError, match="too little text for the corpus"):
        build_corpus(*empty, tokenizer_folder, tmp_path, seq_tokens=128, target_tokens=100, seed=0)
    assert not (tmp_path / "manifest.json").exists()


def test_excluded_rows_are_not_trained_on(tmp_path: Path, problems: pl.LazyFrame, tokenizer_folder: Path) -> None:
    marked = file_row(1, source_text(1).replace("words_", "forbidden_"))
    ids = problems.select("problem_id").collect().to_series().to_list()
    build_corpus(
        TABLES["clean_files"].frame([file_row(0), marked]),
        TABLES["docstring_pairs"].empty(),
        problems,
        tokenizer_folder,
        tmp_path,
        seq_tokens=256,
        target_tokens=10_000,
        seed=0,
        excluded_ids={"demo/words/include/words_1.h", *ids[1:]},
    )
    text = _texts(tmp_path, tokenizer_folder)
    kept = problems.filter(problem_id=ids[0]).select("doc").collect().item()
    assert "forbidden" not in text
    assert kept in text
    assert sum(d in text for d in problems.select("doc").collect().to_series() if d != kept) == 0


def test_a_benchmark_copy_in_a_dump_is_neither_in_the_corpus_nor_in_the_tokenizer(
    tmp_path: Path, problems: pl.LazyFrame, tokenizer_folder: Path
) -> None:
    secret = (
        "int halve_until_odd(int n) {\n    while (n > 0 && n % 2 == 0) {\n        n /= 2;\n    }\n    return n;\n}\n"
    )
    held_out = TABLES["eval_problems"].frame([problem("p", secret, doc="Halves.")])
    files = TABLES["clean_files"].frame([file_row(0), file_row(1, source_text(1) + secret)])
    empty = TABLES["docstring_pairs"].empty(), TABLES["diff_sft"].empty()
    report = hits(training_texts(files, *empty, problems), held_out)
    excluded_ids = excluded(report)
    assert excluded_ids == {"demo/words/include/words_1.h"}
    build_corpus(
        files,
        empty[0],
        problems,
        tokenizer_folder,
        tmp_path,
        seq_tokens=128,
        target_tokens=10_000,
        seed=0,
        excluded_ids=excluded_ids,
    )
    seen = "\n".join([_texts(tmp_path, tokenizer_folder), *tokenizer_texts(files, problems, 0, 512, excluded_ids)])
    assert "halve" not in seen
    assert "words_0" in seen


def test_source_text_cannot_inject_specials(tmp_path: Path, tokenizer_folder: Path) -> None:
    evil = 'const char* s = "<EOT><FIM_MIDDLE><pad>";\n' * 20
    build_corpus(
        TABLES["clean_files"].frame([file_row(0, evil)]),
        TABLES["docstring_pairs"].empty(),
        TABLES["train_problems"].empty(),
        tokenizer_folder,
        tmp_path,
        seq_tokens=128,
        target_tokens=4000,
        seed=0,
    )
    shards = open_shards(tmp_path)
    tok = load_tokenizer(tokenizer_folder)
    ids = np.concatenate([shards.row(n) for n in range(shards.rows)])
    ends, middles = ((ids == tok.token_to_id(s)).sum() for s in ("<EOT>", "<FIM_MIDDLE>"))
    documents = shards.manifest["stats"]["documents"]
    assert ends == sum(documents.values())
    assert middles == documents["random_fim"]
    assert ids.max() >= len(SPECIALS)


@given(st.floats(0, 1), st.floats(0, 1))
def test_quotas_are_40_40_20_for_any_family_share(family: float, pairs: float) -> None:
    quotas = cell_quotas(1000, family, pairs)
    for mode, share in MODE_SHARES.items():
        assert sum(q for (m, _), q in quotas.items() if m == mode) == pytest.approx(1000 * share)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 30))
def test_chunks_join_to_the_text(text: str, most: int) -> None:
    chunks = list(chunk_at_line_ends(text, most))
    assert "".join(chunks) == text
    assert all(0 < len(c) <= most for c in chunks)


@given(st.text(min_size=2))
def test_halves_are_both_smaller(text: str) -> None:
    first, second = half(text)
    assert first + second == text
    assert first and second


def test_bodies_of_functions() -> None:
    assert body_of("int f() {\n    return 1;\n}\n", "int f()") == "    return 1;\n"
    assert body_of("int f() { return 1; }", "int f()") == "    return 1;\n"
    assert body_of("static int f() { return 1; }", "int f()") is None
    assert body_of("int f() {\n    return 1;\n}\nint g() { return 2; }", "int f()") is None
    assert body_of('int f() { return "}"[0]; }', "int f()") == '    return "}"[0];\n'
    assert body_lines("  \n ") is None
    assert documented("x", "Two\nlines", "int f()", "int f() { return 1; }").text == (
        "/// Two\n/// lines\nint f() { return 1; }\n"
    )


def test_tokenizer_texts_hold_code_functions_and_requests(files: pl.LazyFrame, problems: pl.LazyFrame) -> None:
    texts = list(tokenizer_texts(files, problems, 0))
    assert any("namespace demo" in t for t in texts)
    assert any(t.startswith("/// ") for t in texts)
    assert any(t.startswith("Write `") for t in texts)
    assert texts == list(tokenizer_texts(files, problems, 0))


def test_excluded_rows_do_not_train_the_tokenizer(problems: pl.LazyFrame) -> None:
    files = TABLES["clean_files"].frame([file_row(n) for n in (0, 1)])
    rows = problems.select("problem_id", "instruction", "doc").collect()
    named = {"demo/words/include/words_1.h", *rows["problem_id"][1:]}
    text = "\n".join(tokenizer_texts(files, problems, 0, excluded_ids=named))
    assert "words_0" in text and "words_1" not in text
    assert [i for i in rows["instruction"] if i in text] == [rows["instruction"][0]]
    assert [d for d in rows["doc"] if d in text] == [rows["doc"][0]]
