"""A client of the controller that all tests share, and rows of `docstring_pairs` made from plain C++."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline_tests.extract.rows import measures
from cpp_pipeline_tests.public_data import public_data


@pytest.fixture(scope="session")
def client(sandbox_url: str) -> Iterator[SandboxClient]:
    with SandboxClient(sandbox_url) as running:
        yield running


@pytest.fixture(scope="session")
def humaneval() -> Path:
    return public_data("humaneval_cpp.jsonl")


def pair_row(name: str, signature: str, body: str, doc: str, context: str = "") -> dict[str, Any]:
    """A row of `docstring_pairs` as extraction makes it."""
    return {
        "pair_id": name,
        "dump": "planted",
        "repo": ".",
        "path": "planted.cpp",
        "line": 3,
        "end_line": 9,
        "licence": "MIT",
        "name": name,
        "qualified_name": name,
        "doc_raw": f"/// {doc}",
        "doc": doc,
        "brief": doc,
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
        "context": context,
        "origin": "own",
        "doc_path": "planted.cpp",
        "doc_line": 2,
        "n_tokens": 20,
        "cyclomatic": 2,
        "has_parse_error": False,
        "token_sha256": name,
        "quality": 1.0,
        **measures(),
    }
