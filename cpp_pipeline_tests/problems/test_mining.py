from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.dumps import spool
from cpp_pipeline.problems.candidates import Unfit, candidate
from cpp_pipeline.problems.inputs import natural_inputs
from cpp_pipeline.problems.mining import MIN_TESTS, choose_tests, mine
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.cpp.prototype import parse_signature
from cpp_pipeline.sandbox.judging.values import encode
from cpp_pipeline.sandbox.types import Job, Result
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.problems.conftest import pair_row

DOC = "Computes something that is described in words."
GCD = pair_row(
    "gcd",
    "static int gcd(int a, int b)",
    "\n    while (b != 0) {\n        int t = a % b;\n        a = b;\n        b = t;\n    }\n    return a;\n",
    "Returns the greatest common divisor of two positive numbers.",
)
COUNT = pair_row(
    "count_above",
    "int count_above(const std::vector<int>& values, int limit = 3)",
    "\n    int n = 0;\n    for (int v : values) {\n        if (v > limit) ++n;\n    }\n    return n;\n",
    "Counts the values that are greater than the limit.",
)
REJECTED = {
    "does not compile alone": pair_row("missing", "int missing(int a)", " return helper(a) + 1; ", DOC),
    "one output only": pair_row("constant", "int constant(int a)", " return a > 0 ? 3 : 4; ", DOC),
    "constant answer passes": pair_row("rare", "int rare(int a)", " return a == 997 ? a + 1 : a == 3 ? 7 : 5; ", DOC),
    "not deterministic": pair_row(
        "address",
        "int address(int a)",
        " int b = a; return int(reinterpret_cast<std::size_t>(&b) >> 4); ",
        DOC,
    ),
    "too few mutants": pair_row("same", "std::string same(const std::string& s)", " return s; ", DOC),
    "not pure": pair_row("loud", "int loud(int a)", " std::cout << a; return a; ", DOC),
    "no parameters": pair_row("seven", "int seven()", " return 7; ", DOC),
    "signature not supported": pair_row("raw", "int raw(const Foo* p)", " return p->x; ", DOC),
    "in-out parameter": pair_row("change", "int change(std::vector<int>& v)", " v.clear(); return 1; ", DOC),
    "member function": pair_row("method", "int method(int a)", " return a * 2; ", DOC, context="class Box {\n"),
    "documentation too short": pair_row("brief", "int brief(int a)", " return a + 1; ", "Adds one."),
}


@pytest.fixture(scope="module")
def outcome(
    client: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    rows = [GCD, COUNT, *REJECTED.values(), {**GCD, "pair_id": "gcd_again"}]
    lines: list[str] = []
    frame = TABLES["docstring_pairs"].frame(rows)
    mined, quarantined = mine(frame, client, 50, 0, lines.append, tmp_path_factory.mktemp("mined"))
    return mined, quarantined.collect().to_dicts(), lines


def test_planted_functions_take_the_right_way(client: Any, outcome: Any) -> None:
    mined, quarantined, lines = outcome
    reasons = {q["row_id"]: q["reason"] for q in quarantined}
    assert reasons == {r["pair_id"]: reason for reason, r in REJECTED.items()} | {"gcd_again": "duplicate"}
    assert sorted(r["problem_id"] for r in mined) == ["mined/count_above", "mined/gcd"]
    assert TABLES["train_problems"].violations(TABLES["train_problems"].frame(mined)) == {}
    assert all(q["detail"] for q in quarantined)
    assert lines == ["mined 2 problems from 7 of 7 candidates"]
    by_name = {r["entry_point"]: r for r in mined}
    assert by_name["count_above"]["signature"] == "int count_above(const std::vector<int>& values, int limit)"
    for row in mined:
        tests = loads_tests(row["tests"])
        assert len(tests) >= MIN_TESTS
        assert row["mutation_score"] >= 0.8
    # The tests hold for a solution that was written anew.
    anew = "int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }\n"
    row = by_name["gcd"]
    verdict = client.verify(Job("anew", anew, row["signature"], loads_tests(row["tests"]), row["preamble"]))
    assert verdict.verdict == "AC"


def test_limit_takes_a_fixed_sample(client: Any, outcome: Any, tmp_path: Path) -> None:
    frame = TABLES["docstring_pairs"].frame([COUNT, GCD])
    assert mine(frame, client, 0, 0, lambda _: None, tmp_path)[0] == []
    sampled, quarantined = mine(frame, client, 1, 0, lambda _: None, tmp_path)
    assert quarantined.collect().is_empty()
    # Beside other candidates and in another order, a problem comes out the same.
    assert len(sampled) == 1
    assert sampled[0] in outcome[0]


class _Harnessless:
    """The real sandbox, but for one function whose harness does not compile."""

    def __init__(self, client: Any, pair_id: str) -> None:
        self._client, self._pair_id = client, pair_id

    def batch_verify(self, jobs: Sequence[Job]) -> list[Result]:
        error = "harness_compile_failed: the preamble does not compile: no such header"
        return [
            Result(j.id, None, None, None, len(j.test_cases), error=error) if j.id.startswith(self._pair_id) else r
            for j, r in zip(jobs, self._client.batch_verify(jobs), strict=True)
        ]


def test_an_unusable_function_is_unfit_and_the_others_are_mined(client: Any, tmp_path: Path) -> None:
    frame = TABLES["docstring_pairs"].frame([GCD, COUNT])
    harnessless: Any = _Harnessless(client, "gcd")
    mined, quarantined = mine(frame, harnessless, 9, 0, lambda _: None, tmp_path)
    assert [r["problem_id"] for r in mined] == ["mined/count_above"]
    (row,) = quarantined.collect().to_dicts()
    assert (row["row_id"], row["reason"]) == ("gcd", "does not compile alone")
    assert "no such header" in row["detail"]


def test_the_unfit_are_spooled_not_held(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    write = spool.Spool._flush
    monkeypatch.setattr(spool, "MAX_GROUP_ROWS", 10)
    monkeypatch.setattr(spool.Spool, "_flush", lambda s: (flushed.append(len(s._rows)), write(s))[1])
    rows = [{**REJECTED["no parameters"], "pair_id": f"p{n}", "token_sha256": str(n)} for n in range(95)]
    mined, quarantined = mine(TABLES["docstring_pairs"].frame(rows), client, 5, 0, lambda _: None, tmp_path)
    assert mined == []
    assert quarantined.collect()["row_id"].to_list() == [f"p{n}" for n in range(95)]
    assert flushed == [10] * 9 + [5]


@pytest.mark.parametrize(
    "body",
    [
        "return this->x;",
        "return rand();",
        "static int n = 0; return ++n;",
        "std::cout << a; return a;",
        "return *new int(a);",
    ],
)
def test_impure_bodies_are_unfit(body: str) -> None:
    with pytest.raises(Unfit) as caught:
        candidate(pair_row("f", "int f(int a)", body, DOC))
    assert caught.value.reason in ("not pure", "pointers")


def test_words_in_comments_and_texts_do_not_count() -> None:
    body = ' // rand() is wrong\n static const int k = 2;\n return a * k + int(std::string("new this").size()); '
    assert candidate(pair_row("f", "int f(int a)", body, DOC)).signature == "int f(int a)"


SIGNATURES = (
    "int f(int n, const std::vector<int>& v)",
    "int f(std::string s, std::string part)",
    "bool f(double x, char c, bool b)",
    "int f(std::map<std::string, std::vector<int>> m, std::set<int> s)",
    "int f(std::optional<int> o, std::pair<int, std::string> p, std::tuple<int, float> t)",
    "int f(unsigned char c, std::uint64_t big, std::size_t index, std::vector<std::vector<double>> g)",
)


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


@settings(deadline=None)
@given(st.sampled_from(SIGNATURES), st.integers(0, 1000))
def test_natural_inputs_are_natural_and_fit_their_types(signature: str, seed: int) -> None:
    prototype = parse_signature(signature)
    found = natural_inputs(prototype, 20, str(seed))
    assert found == natural_inputs(prototype, 20, str(seed))
    assert len({str(i) for i in found}) == len(found) == 20
    for arguments in found:
        for value, (kind, _) in zip(arguments, prototype.params, strict=True):
            encode(kind, value)
            assert value not in ([], "")
        numbers = [x for x in _leaves(arguments) if isinstance(x, int | float) and not isinstance(x, bool)]
        assert all(0 < x < 10_000 for x in numbers)


@given(st.lists(st.sets(st.integers(0, 19), min_size=1, max_size=6), max_size=12), st.integers(0, 5))
def test_chosen_tests_kill_what_all_tests_kill(killed_by: list[set[int]], seed: int) -> None:
    chosen = choose_tests(20, killed_by, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) >= MIN_TESTS
    assert all(k & set(chosen) for k in killed_by)
