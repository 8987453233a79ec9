from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.problems.bundled import bundled_problems
from cpp_pipeline.problems.mutants import mutants
from cpp_pipeline.problems.syntax import parse

REFERENCES = [r["reference"] for part in bundled_problems() for r in part]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(REFERENCES), st.integers(0, 40), st.integers(0, 3))
def test_mutants_parse_differ_and_repeat(code: str, cap: int, seed: int) -> None:
    found = mutants(code, cap, seed)
    assert found == mutants(code, cap, seed)
    assert len(found) <= cap
    assert len({m.code for m in found} | {code}) == len(found) + 1
    assert not any(parse(m.code).has_error for m in found)


def made(body: str) -> dict[str, set[str]]:
    head, tail = "int f(std::vector<int> v, int n) {\n", "\n}\n"
    found: dict[str, set[str]] = {}
    for m in mutants(head + body + tail, 1000, 0):
        found.setdefault(m.operator, set()).add(m.code[len(head) : -len(tail)])
    return found


@pytest.mark.parametrize(
    ("body", "operator", "expected"),
    [
        ("return n + 7;", "constant_plus", {"return n + 8;"}),
        ("return n + 7;", "constant_minus", {"return n + 6;"}),
        ("return n + 7;", "arithmetic", {"return n - 7;"}),
        ("if (n < 3) n += 2;", "relational_negate", {"if (n >= 3) n += 2;"}),
        ("if (n < 3) n += 2;", "relational_boundary", {"if (n <= 3) n += 2;"}),
        ("if (n < 3) n += 2;", "assignment", {"if (n < 3) n -= 2;"}),
        ("if (v.empty()) ++n;", "condition_negate", {"if (!(v.empty())) ++n;"}),
        ("if (n && v[0]) ++n;", "logic", {"if (n || v[0]) ++n;"}),
        ("++n;", "increment", {"--n;"}),
        ("v.clear();", "delete_statement", {";"}),
        ("return n;", "return_default", {"return {};"}),
        ("for (;n < 9;) {}", "loop_bound", {"for (;n < 9 + 1;) {}", "for (;n < 9 - 1;) {}"}),
        ("bool b = true;", "boolean", {"bool b = false;"}),
    ],
)
def test_each_operator(body: str, operator: str, expected: set[str]) -> None:
    assert made(body)[operator] == expected


@pytest.mark.parametrize(
    ("body", "operator"),
    [
        ("return 0;", "return_default"),
        ("return {};", "return_default"),
        ("return false;", "return_default"),
        ("v.reserve(3);", "delete_statement"),
        ("assert(n);", "delete_statement"),
        ("delete p;", "delete_statement"),
        ("if (n < 3) ++n;", "condition_negate"),
        ("n = 017;", "constant_plus"),
    ],
)
def test_edits_that_no_input_shows_are_left_out(body: str, operator: str) -> None:
    assert operator not in made(body)


def test_code_that_does_not_parse_has_no_mutants() -> None:
    assert mutants("int f( {", 10, 0) == []
