"""Requests taken apart: code, prototypes, files, tests; and source made callable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.agent.inputs import (
    AttachmentError,
    prepare,
    read_files,
    read_tests,
    resolve,
)
from cpp_pipeline.agent.program import callable_signature, functions


def test_code_and_prototype_leave_the_request() -> None:
    p = prepare("Fix `int f(int x)` please:\n```cpp\nint f(int x) { return x; }\n```\nnow", {})
    assert p.utterance == "Fix $signature please: $code now"
    assert p.attachments["$code"] == "int f(int x) { return x; }"
    assert p.attachments["$signature"] == "int f(int x)"
    assert p.attachments["$request"].startswith("Fix `int f(int x)`")


def test_file_names_become_one_handle() -> None:
    p = prepare("Write CMake for app from src/main.cpp, util.cpp and include/util.hpp.", {})
    assert p.utterance == "Write CMake for app from $files."
    assert [f["path"] for f in read_files(p.attachments["$files"])] == [
        "src/main.cpp",
        "util.cpp",
        "include/util.hpp",
    ]


def test_attachments_win_and_may_lack_the_dollar() -> None:
    p = prepare("Run it: ```\nint b;\n```", {"code": "int a;"})
    assert p.attachments["$code"] == "int a;"
    assert resolve("$code", p) == "int a;"
    assert resolve("plain", p) == "plain"
    with pytest.raises(AttachmentError, match=r"\$tests is not attached; attached: \$request \$code"):
        resolve("$tests", p)


def test_words_in_backquotes_that_are_no_prototype_stay() -> None:
    assert prepare("What is `std::move`?", {}).utterance == "What is `std::move`?"


@pytest.mark.parametrize(
    ("request_text", "attachments"),
    [("  ", {}), ("x", {"Bad Name": "y"}), ("x", {"$request": "y"}), ("x", {"code": 3})],
)
def test_unusable_requests(request_text: str, attachments: dict[str, str]) -> None:
    with pytest.raises(AttachmentError):
        prepare(request_text, attachments)


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_can_be_prepared(text: str) -> None:
    p = prepare(text, {})
    assert p.attachments["$request"] == text
    assert p.utterance == " ".join(p.utterance.split())


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"args": 1, "expected": 2}]', '[{"args": []}]'])
def test_malformed_tests_are_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(AttachmentError, match="args"):
        read_tests(text)


@pytest.mark.parametrize("text", ["x", "{}", '[{"path": "a"}]', '[{"path": "a", "content": 1}]'])
def test_malformed_files_are_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(AttachmentError, match="content"):
        read_files(text)


def test_tests_are_read() -> None:
    tests = [{"args": [1], "expected": 2}]
    assert read_tests(json.dumps(tests)) == tests


CODE = """#include <vector>
struct S { int m(); };
static int helper(int x) { return x; }
std::vector<int> twice(const std::vector<int>& v) { return v; }
S make() { return S{}; }
int main(int argc, char** argv) { return argc; }
"""


def test_functions_of_a_file() -> None:
    assert [(f.name, f.n_parameters) for f in functions(CODE)] == [
        ("helper", 1),
        ("twice", 1),
        ("make", 0),
        ("main", 2),
    ]
    assert callable_signature(CODE) == "std::vector<int> twice(const std::vector<int>& v)"
    assert callable_signature("int main() {}") is None
