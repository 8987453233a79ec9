"""A small tokenizer and small tables, built once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cpp_pipeline.corpus.tokenizer import train_tokenizer
from cpp_pipeline.problems.family import generate
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import measures

HEADER = """#pragma once
#include <string>
#include <vector>

namespace demo {

// Number of words that begin at {n}.
inline std::size_t words_{n}(const std::string& text) {{
    std::size_t count = {n};
    bool inside = false;
    for (char c : text) {{
        if (c == ' ') inside = false;
        else if (!inside) {{ inside = true; ++count; }}
    }}
    return count;
}}

}}  // namespace demo
"""


def source_text(n: int) -> str:
    """A header of about 400 characters, different for each n."""
    return HEADER.replace("{n}", str(n)).replace("{{", "{").replace("}}", "}")


def file_row(n: int, content: str | None = None, language: str = "header") -> dict[str, Any]:
    """A row of clean_files."""
    text = source_text(n) if content is None else content
    return {
        "dump": "demo",
        "repo": "words",
        "path": f"include/words_{n}.h",
        "commit": None,
        "licence": "MIT",
        "language": language,
        "sha256": f"{n:064x}",
        "size_bytes": len(text.encode()),
        "is_test": False,
        "is_vendored": False,
        "is_generated": False,
        "is_amalgamated": False,
        "content": text,
        "n_redacted": 0,
    }


def pair_row(n: int, **changes: Any) -> dict[str, Any]:
    """A row of docstring_pairs."""
    body = f"\n    int total = {n};\n    for (int x : v) total += x;\n    return total;\n"
    signature = f"int sum_{n}(const std::vector<int>& v)"
    row = {
        "pair_id": f"{n:08x}",
        "dump": "demo",
        "repo": "sums",
        "path": "src/sums.cpp",
        "line": 10 * n + 1,
        "end_line": 10 * n + 5,
        "licence": "MIT",
        "name": f"sum_{n}",
        "qualified_name": f"demo::sum_{n}",
        "doc_raw": f"/// Adds the values and {n}.",
        "doc": f"Adds the values and {n}.",
        "brief": f"Adds the values and {n}.",
        "doc_params": [],
        "doc_param_texts": [],
        "doc_tparams": [],
        "doc_returns": None,
        "doc_throws": [],
        "doc_notes": [],
        "uses": [],
        "signature": signature,
        "body": body,
        "code": f"{signature} {{{body}}}",
        "context": "#include <vector>",
        "origin": "own",
        "doc_path": "src/sums.cpp",
        "doc_line": 10 * n,
        "n_tokens": 30,
        "cyclomatic": 2,
        "has_parse_error": False,
        "token_sha256": f"{n:064x}",
        "quality": 0.9,
        **measures(),
    }
    return {**row, **changes}


@pytest.fixture(scope="session")
def problem_rows() -> list[dict[str, Any]]:
    """Forty problems of the family."""
    return generate(40, 0, 0)[0]


@pytest.fixture(scope="session")
def problems(problem_rows: list[dict[str, Any]]) -> pl.LazyFrame:
    return TABLES["train_problems"].frame(problem_rows)


@pytest.fixture(scope="session")
def files() -> pl.LazyFrame:
    return TABLES["clean_files"].frame([file_row(n) for n in range(120)])


@pytest.fixture(scope="session")
def pairs() -> pl.LazyFrame:
    return TABLES["docstring_pairs"].frame([pair_row(n) for n in range(20)])


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory, problem_rows: list[dict[str, Any]]) -> Path:
    """Trained on a few KB."""
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [source_text(n) for n in range(10)] + [r["reference"] + r["instruction"] for r in problem_rows]
    train_tokenizer(iter(texts), 512, folder)
    return folder
