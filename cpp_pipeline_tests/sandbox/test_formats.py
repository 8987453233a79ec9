"""Asserts, functions under test and native records, read from text."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.sandbox.cpp.definitions import definitions
from cpp_pipeline.sandbox.cpp.lexer import pieces
from cpp_pipeline.sandbox.formats import assert_sites, asserts_as_code, entry_prototype, job_from_record
from cpp_pipeline_tests.public_data import public_data

PIECES = [
    *("assert(f(1) == 2);", "assert (g(\n2))", "assert", "(", ")", "static_assert(true);", "x", '"assert(1)"', "'\"'"),
    *(
        'R"(assert(")',
        'R"-(a)-")-"',
        "// assert(1)\n",
        "// assert(1) \\\n",
        "/* assert(1) */",
        "/*",
        "*/",
        "\\\n",
        "\\ \n",
    ),
    *(
        "#define A 1\n",
        "#define B assert(1)\n",
        "#if 1\n",
        "#endif\n",
        "#undef NDEBUG\n",
        "%:",
        "1'000",
        "'",
        '"',
        "\n",
        " ",
    ),
]
HUMANEVAL: dict[str, Any] = {
    "task_id": "CPP/900",
    "prompt": "/*\nDoubles with twice().\n*/\n#include<vector>\nusing namespace std;\n"
    "int twice(int x){\n    return 2*x;\n}\n\nvector<int> doubled(vector<int> v, int n=1){\n",
    "declaration": "#include<vector>\nusing namespace std;\nvector<int> doubled(vector<int> v, int n){\n",
    "canonical_solution": "    for (int& x : v) x=twice(x);\n    return v;\n}\n",
    "test": "#undef NDEBUG\n#include<assert.h>\nint main(){\n    assert (doubled({1,2}) == vector<int>({2,4}));\n}\n",
    "example_test": "",
}
MULTIPL_E: dict[str, Any] = {
    "name": "HumanEval_900_add",
    "language": "cpp",
    "prompt": "#include<assert.h>\n#include<bits/stdc++.h>\n// Adds.\nlong add(std::tuple<long, long> t) {\n",
    "tests": "}\nint main() {\n    auto candidate = add;\n    assert(candidate((std::make_tuple(1, 2))) == (3));\n}\n",
    "stop_tokens": ["\n}"],
}
OWN: dict[str, Any] = {
    "id": "p1",
    "signature": "int add(int a, int b)",
    "doc": "Adds.",
    "tests": [{"args": [1, 2], "expected": 3}],
    "preamble": "#include <vector>\n",
    "reference": "int add(int a, int b) { return a + b; }",
}


def test_every_assert_is_found_with_its_line() -> None:
    code = "#include <assert.h>\nint main() {\n  assert(f(1) == 2); assert (g(\"a)\", ')')\n    /* note */ == 3);\n}\n"
    assert assert_sites(code) == [(3, "f(1) == 2"), (3, "g(\"a)\", ')') == 3")]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("// assert(1)\n/* assert(2)\n */ static_assert(true); int x = my_assert(1);", []),
        ('auto s = "assert(1)"; assert(s == R"x(\n)" assert(2))x");\nassert(1);', [1, 3]),
        ("// goes on \\\n assert(1);\nassert(2);", [3]),
        ("assert(a < 1'000 \\\n && b);\r\nassert(c);", [1, 3]),
        ("#define A \\\n  1\nassert(A);", [3]),
        ("obj.assert(1); assert;", [1]),
        ("assert\n(1);", [1]),
        ("#if 1\n#endif\nassert(1);", [3]),
    ],
)
def test_text_that_looks_like_an_assert_is_none(code: str, lines: list[int]) -> None:
    assert [line for line, _ in assert_sites(code)] == lines


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("#define CHECK(x) assert(x)\n", "in #define"),
        ("#undef assert\n", "in #undef"),
        ("#ifdef A\nassert(1);\n#endif", "inside #if"),
        ("assert(assert(1));", "inside another"),
        ("assert(1", "never closed"),
        ("assert(\n#pragma once\n1)", "a preprocessor line inside"),
        ("/* never closed assert(1);", "line 1: a comment"),
        ("int x;\n ass\\\nert(1);", "line 2: a line is continued inside a token"),
        ('auto s = R"(', "a raw string"),
        ("int x = 1; %:define A assert\n", "the digraph"),
        ("int x;\ry", "a carriage return"),
        ("// `\nint ` x;", "line 2: the character '`'"),
        ("int é = 1;", "the character"),
        ("/* a *\\\n/ assert(1) */", "a continued line at the end of a comment"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(code: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        assert_sites(code)


def test_a_long_condition_is_cut() -> None:
    ((_, text),) = assert_sites(f"assert({'1 +  ' * 200} 1);")
    assert text == ("1 + " * 200)[:300]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@settings(max_examples=150, deadline=None)
def test_the_preprocessor_finds_the_same_asserts(code: str) -> None:
    try:
        sites = assert_sites(code)
    except ValueError:
        return
    arguments = ["g++", "-E", "-P", "-std=c++20", "-D", "assert(...)=FOUND", "-x", "c++", "-"]
    run = subprocess.run(arguments, check=False, input=code.encode(), capture_output=True)
    if run.returncode == 0:
        assert run.stdout.decode().count("FOUND") == len(sites)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_pieces_are_parts_of_the_text(code: str) -> None:
    try:
        found = pieces(code)
    except ValueError as error:
        assert str(error).startswith("line ")
        return
    end = 0
    for piece in found:
        assert piece.at >= end
        if piece.kind != "directive":
            assert code.startswith(piece.text, piece.at)
            end = piece.at + len(piece.text)


def test_conditions_become_a_main_with_one_assert_a_line() -> None:
    conditions = ["add(1, 2) == 3", 'f("a // b")  // note', "g(1,\n  2)", "(h(), true)"]
    code = asserts_as_code(conditions)
    assert assert_sites(code) == [
        (2, "add(1, 2) == 3"),
        (3, 'f("a // b")'),
        (4, "g(1, 2)"),
        (5, "(h(), true)"),
    ]


@pytest.mark.parametrize(
    "condition",
    ["", " ", "f(1", "f(1))", "1); assert(2", "assert(1)", "#define A\n1", "/* open", '"open', None, 3],
)
def test_a_condition_has_to_be_one(condition: Any) -> None:
    with pytest.raises(ValueError, match="test 1: "):
        asserts_as_code(["true", condition])


@given(st.lists(st.sampled_from([*PIECES, "f(1)", "==", "2", ";", "}", "{"]), max_size=6).map("".join))
@settings(max_examples=300, deadline=None)
def test_a_condition_cannot_become_two(condition: str) -> None:
    try:
        code = asserts_as_code(["true", condition, "false"])
    except ValueError:
        return
    sites = assert_sites(code)
    assert len(sites) == 3
    assert (sites[0], sites[2][1]) == ((2, "true"), "false")


@pytest.mark.parametrize(
    ("code", "prototype"),
    [
        ("int f(int a) { return a; }", "int f(int a)"),
        ("static inline constexpr int f(int a = g(1, 2), long b = {}) noexcept { return a; }", "int f(int a, long b)"),
        ("[[nodiscard]] int f([[maybe_unused]] int a) { return 1; }", "int f(int a)"),
        (
            "auto f(const std::string & s) -> std::vector<int> { return {}; }",
            "std::vector<int> f(const std::string& s)",
        ),
        (
            "map<string, vector<int>> f(map<int,int>&& m, int x) { }",
            "map<string, vector<int>> f(map<int, int>&& m, int x)",
        ),
        ("unsigned long long f() { }", "unsigned long long f()"),
        ("struct P { int f(int) { return 1; } };\nP f(P p) { return p; }", "P f(P p)"),
        ("int x = [] { return 1; }(); int h(int a) { return f(a); }\nint f(int a) { }", "int f(int a)"),
        ("namespace n { int f(char c) { } }\nint f(int a) { }", "int f(int a)"),
        ("int f(int a);\nint f(int a) { }\nint main() { return f(1); }", "int f(int a)"),
        ("#define BODY {\nint f(function<int(int)> g) { return g(1); }", "int f(function<int(int)> g)"),
        ("vector<int> v = {1, 2};\nint f(int a[3], int* b) { }", "int f(int a[3], int* b)"),
        ("int A::f(int a) { }\nint f(bool b) { }", "int f(bool b)"),
        ("bool operator==(A a, A b) { }\ninline namespace n { }\nint f(bool b) { }", "int f(bool b)"),
        ('enum E { X }; struct f2 : B<int(int)> { } y;\nextern "C" { int z(); }\nint f(E e) { }', "int f(E e)"),
    ],
)
def test_the_function_under_test_is_found(code: str, prototype: str) -> None:
    tests = "int helper(int x) { return x; }\nint main() { assert(f(helper(1)) == f(2)); }"
    assert entry_prototype(code, tests) == prototype
    assert entry_prototype(code, "int main() {\n    auto candidate = f;\n    assert(candidate(1));\n}") == prototype


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("int g(int a) { return a; }", "defines no function"),
        ("int f(int a);", "defines no function"),
        ("int f(int a) { return a; ", "defines no function"),
        ("auto f = [](int a) { return a; };", "defines no function"),
        ("struct f { int operator()(int a) { return a; } };", "defines no function"),
        ("namespace n { int f(int a) { return a; } }", "defines no function"),
        ("template <class T> T f(T a) { return a; }", "it is a template"),
        ("int f(auto a) { return a; }", "it is a template"),
        ("auto f(int a) { return a; }", "return type is deduced"),
        ("int f(int a) { } int f(long a) { }", "several functions"),
        ("int f(int a) { } }", "closes nothing"),
        ('auto s = R"(', "a raw string"),
    ],
)
def test_why_there_is_no_prototype(code: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        entry_prototype(code, "int main() { assert(f(1) == 1); }")


def test_what_the_tests_define_is_not_under_test() -> None:
    code = "bool same(int a, int b) { return a == b; } int f(int a) { return a; }"
    tests = "bool same(int a, int b) { return a == b; }\nint main() { assert(same(f(1), 1)); }"
    assert entry_prototype(code, tests) == "int f(int a)"


def test_a_humaneval_record_becomes_a_job() -> None:
    job = job_from_record(HUMANEVAL, timeout=2.0)
    assert (job.id, job.timeout, job.test_code) == ("CPP/900", 2.0, HUMANEVAL["test"])
    assert job.prototype == "vector<int> doubled(vector<int> v, int n)"
    assert [d.name for d in definitions(job.code)] == ["doubled"]
    assert [d.name for d in definitions(job.preamble)] == ["twice"]
    assert job.preamble.count("vector>") == 1
    assert "#include <climits>\n" in job.preamble


def test_a_completion_may_be_the_body_or_a_whole_program() -> None:
    body = job_from_record(HUMANEVAL, "    return v;\n}\n", job_id="mine")
    assert (body.id, body.code) == ("mine", "vector<int> doubled(vector<int> v, int n=1){\n    return v;\n}\n")
    function = "#include <map>\nvector<int> doubled(vector<int> v, int n) { return v; }\n"
    assert job_from_record(HUMANEVAL, function).code == function
    program = HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"] + "int other() { return 1; }"
    names = [d.name for d in definitions(job_from_record(HUMANEVAL, program).code)]
    assert names == ["doubled", "other"], "what the record declares before stays the record's"


def test_a_body_that_calls_itself_is_a_body() -> None:
    completion = "    if (n > 1) { return doubled(v, n-1); }\n    auto f = [](int x) { return x; };\n    return v;\n}"
    assert job_from_record(HUMANEVAL, completion).code.startswith("vector<int> doubled(vector<int> v, int n=1){")


def test_a_multipl_e_record_becomes_a_job() -> None:
    job = job_from_record(MULTIPL_E, "    return std::get<0>(t);\n}\nlong next() {\n    return 1;\n}")
    assert job.code == "long add(std::tuple<long, long> t) {\n    return std::get<0>(t);\n}\n"
    assert (job.id, job.prototype) == ("HumanEval_900_add", "long add(std::tuple<long, long> t)")
    assert job.preamble == "#include<assert.h>\n#include<bits/stdc++.h>\n// Adds.\n"
    assert job.test_code == MULTIPL_E["tests"].removeprefix("}")
    assert assert_sites(job.test_code)[0] == (4, "candidate((std::make_tuple(1, 2))) == (3)")
    whole = MULTIPL_E["prompt"] + "    return 3;\n}\n\nint main() {\n    return 0;\n}\n"
    assert job_from_record(MULTIPL_E, whole).code == whole


@pytest.mark.parametrize("tests", [OWN["tests"], json.dumps(OWN["tests"])])
def test_an_own_record_becomes_a_job(tests: Any) -> None:
    job = job_from_record({**OWN, "tests": tests})
    assert (job.id, job.prototype, job.preamble) == ("p1", OWN["signature"], OWN["preamble"])
    assert (job.code, job.test_cases, job.test_code) == (OWN["reference"], OWN["tests"], "")
    other = {**OWN, "references": ["int add(int a, int b) { return b + a; }"]}
    assert job_from_record(other).code == other["references"][0]
    assert job_from_record(OWN, "int add(int x, int y) { return 0; }").code.endswith("return 0; }")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "accepted are HumanEval-X"),
        ({"task_id": "1", "prompt": "x"}, "fields prompt, task_id"),
        ({**MULTIPL_E, "language": "py"}, "accepted are"),
        (MULTIPL_E, "has no solution of its own"),
        ({k: v for k, v in OWN.items() if k != "reference"}, "has no reference"),
        ({**HUMANEVAL, "prompt": "int f(int a);\n"}, "does not end inside of a function"),
        ({**HUMANEVAL, "prompt": "auto f(int a) {\n"}, "return type is deduced"),
        ({**HUMANEVAL, "prompt": 3}, "field prompt"),
        ({**HUMANEVAL, "test": ""}, "field test"),
        ({**OWN, "tests": 3}, "field tests"),
        ({**OWN, "tests": "{"}, "field tests"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        job_from_record(record)


@pytest.mark.parametrize("name", ["humaneval_cpp.jsonl", "humanevalpack_cpp.jsonl"])
def test_the_public_records_are_read(name: str) -> None:
    records = [json.loads(line) for line in public_data(name).read_text().splitlines()]
    assert len(records) == 164
    for record in records:
        job = job_from_record(record)
        assert assert_sites(job.test_code), record["task_id"]
        assert entry_prototype(job.code, job.test_code) == job.prototype
        whole = job_from_record(record, record["prompt"] + record["canonical_solution"])
        assert entry_prototype(whole.code, job.test_code) == job.prototype
        if "signature" in record:
            assert "".join(job.prototype.split()) == "".join(record["signature"].split())
