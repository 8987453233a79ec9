"""Which candidates may share a unit."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.problems.family import generate
from cpp_pipeline.sandbox.canaries import ATTACKS, SIGNATURE
from cpp_pipeline.sandbox.judge import Judge
from cpp_pipeline.sandbox.lexer import normalised, tokens
from cpp_pipeline.sandbox.plain import is_plain, plain_preamble, unbalanced
from cpp_pipeline.sandbox.prototype import parse_signature
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline.sandbox.verdicts import prepare

PIECES = [
    *("std", "::", "string", "npos", "c0", "solve", "(", ")", "v", ";", "int", "a", "=", "fork", "return", ",", "&"),
    *("<", ">", "#", "define", "\n", "%:", "auto", "[", "]", "size", "{", "}"),
]
HEAD = "int solve(const std::vector<int>& v)"


@pytest.mark.parametrize(
    "body",
    [
        "return 0;",
        "int s = 0; for (const auto& x : v) { s += x; } return s; // done }\n",
        "std::vector<int> out; for (size_t i = 0; i < v.size(); ++i) out.push_back(v[i] * 2); return out.size();",
        "auto f = [&](int a) { return a + 1; }; return f(v.empty() ? 0 : v[0]);",
        "std::sort(v.begin(), v.end()); return *std::max_element(v.begin(), v.end());",
        "return std::accumulate(v.begin(), v.end(), 0, [](int a, int b) { return a & b; });",
        "std::map<int, int> m; for (int x : v) m[x]++; return m.count(3) ? m.at(3) : std::numeric_limits<int>::max();",
        "return solve(v);",
        "std::size_t n = v.size(), m = 1; const long long k = 2; return n + m + k;",
        "std::map<int, std::vector<int>> m; for (const auto& [k, w] : m) return k + w[0]; return 0;",
        'const std::string s = "ab"; return s.find("b") == std::string::npos ? 1 : 0;',
        "std::vector<std::pair<int, int>>::const_iterator it; auto&& w = v; return w[0];",
    ],
)
def test_plain(body: str) -> None:
    assert is_plain(f"{HEAD} {{ {body} }}", HEAD, "solve")


@pytest.mark.parametrize(
    "code",
    [
        f"#include <vector>\n{HEAD} {{ return 0; }}",
        f"{HEAD} {{ static int x = 0; return x; }}",
        f"{HEAD} {{ return fork(); }}",
        f"{HEAD} {{ return ::exit(0), 1; }}",
        f"{HEAD} {{ exit(0); return 1; }}",
        f"{HEAD} {{ auto f = exit; f(0); return 1; }}",
        f"{HEAD} {{ return c1::solve(v); }}",
        f"{HEAD} {{ return judge_rpc::x; }}",
        f"{HEAD} {{ return 0; }} }} namespace c1 {{ {{ int y; }}",
        f"{HEAD} {{ return 0; }} int x = 1;",
        f"int x = 1; {HEAD} {{ return 0; }}",
        f"{HEAD} {{ return (0; }}",
        f"{HEAD} {{ return 0; ",
        f'{HEAD} {{ asm("nop"); return 0; }}',
        f"{HEAD} {{ struct A {{ int x; }}; return 0; }}",
        f"{HEAD} {{ [[maybe_unused]] int x = 0; return 0; }}",
        f"{HEAD} {{ int* p = 0; return *p; }}",
        f"{HEAD} {{ int x = 0; auto p = &x; return *p; }}",
        f"{HEAD} {{ return __builtin_trap(), 0; }}",
        f"{HEAD} {{ return pause(); }}",
        f"{HEAD} {{ return abs(v[0], clock()); }}",
        f"{HEAD} {{ auto f = [clock]() {{ return 0; }}; return f(); }}",
        f"{HEAD} {{ return string::size(v); }}",
        f"{HEAD} {{ return std::string::size(v); }}",
        f"{HEAD} {{ return std::vector<int>::size(v); }}",
        f"{HEAD} {{ std::c1::solve(v); return 0; }}",
        f"{HEAD} {{ int a = 1; a::solve(v); return 0; }}",
        f"{HEAD} {{ int set = 1; return set < 3 > pause; }}",
        f"{HEAD} {{ auto e = judge_entries[0]; return 0; }}",
        f"{HEAD} {{ int define = 0;\n%:define string c0\n return string::size(v);\n }}",
        f"{HEAD} <% return 0; %>",
        f"{HEAD} {{ return v<:0:>; }}",
        f"{HEAD} {{ return 0; // \\ \n }}",
        f"{HEAD} {{ return 0; // \\\t\r\n }}",
        f"{HEAD} {{ return 0; // \\\0\n }}",
        f"{HEAD} {{ return 0; }} // \\",
        f"{HEAD} {{ return 0; }} // \\ ",
        # g++ takes the line behind a backslash and a blank for part of the comment
        f"{HEAD} {{ {{ return 0; // \\ \n {{{{ \n }} }} int early = abs(0); }} }}\n",
        f"{HEAD} {{ goto end; end: return 0; }}",
        f'{HEAD} {{ auto s = R"(}})"; return 0; }}',
        f"{HEAD} {{ return 0; \\\n }}",
        f"{HEAD} {{ std::thread t; return 0; }}",
        f"{HEAD} try {{ return 0; }} catch (...) {{ return 1; }}",
        "int other(const std::vector<int>& v) { return 0; }",
        f"template <class T> {HEAD} {{ return 0; }}",
        "",
    ],
)
def test_not_plain(code: str) -> None:
    assert not is_plain(code, HEAD, "solve")


def test_preamble_may_hold_only_harmless_includes() -> None:
    assert plain_preamble("#include <vector>\n\nusing namespace std;\n// note\n")
    assert not plain_preamble("#include <unistd.h>")
    assert not plain_preamble("int helper() { return 1; }")
    assert not plain_preamble("// swallows the next line \\")


def test_layout_and_comments_do_not_change_the_normal_form() -> None:
    assert normalised("int f() {\n  // one\n  return 1; /* two */ }") == normalised("int  f() { return 1;  }")
    assert normalised('auto s = "a  b";') != normalised('auto s = "a b";')
    assert normalised("#define A 1\nint x;") != normalised("#define A 1 int x;")
    assert normalised("int f() { // \\ \n  g();\n }") != normalised("int f() { // \n  g();\n }")
    assert normalised("%:define A 1\nint x;") != normalised("%:define A 1 int x;")
    assert normalised("int x = __LINE__;\n") != normalised("\nint x = __LINE__;\n")


def test_solutions_of_the_generated_family_are_plain() -> None:
    train, held_out = generate(150, 40, 3)
    for row in (*train, *held_out):
        prototype = parse_signature(row["signature"])
        for code in row["references"]:
            assert is_plain(code, row["signature"], prototype.name), code


@given(st.sampled_from(sorted(ATTACKS)), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_no_attack_on_names_or_text_is_plain(name: str, shift: int) -> None:
    code = ATTACKS[name][1]
    assert not is_plain("\n" * shift + code, SIGNATURE, "solve"), code


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_a_plain_body_names_no_other_candidate(body: str) -> None:
    code = f"{HEAD} {{ {body} }}"
    if is_plain(code, HEAD, "solve"):
        found = tokens(code) or []
        texts = [text for _, text in found]
        assert not {"#", "fork"} & set(texts)
        for at, text in enumerate(texts):
            assert text != "::" or texts[at - 1] in ("std", "string")


@pytest.mark.parametrize("piece", ["vector<", "int a(", "int a,", "std::", "const ", "auto [a,", "map<int,"])
def test_declarations_are_found_in_linear_time(piece: str) -> None:
    started = time.process_time()
    is_plain(f"{HEAD} {{ {piece * (19_000 // len(piece))} }}", HEAD, "solve")
    assert time.process_time() - started < 2


BROKEN = [
    f"{HEAD} {{ return (1 + 2; }}",
    f"{HEAD} {{ return v[0; }}",
    f"{HEAD} {{ if (v.empty()) {{ return 0; }}",
    f"{HEAD} {{ return 0; }} }}",
    f"{HEAD} {{ return 0; ] }}",
    f"{HEAD} {{ return (v.size(]); }}",
    f'{HEAD} {{ const char* s = "{{"; return (0; }}',
    "}",
    "(",
]


@pytest.mark.parametrize("code", BROKEN)
def test_unbalanced_text_is_known_not_to_compile(code: str) -> None:
    assert "error: '" in unbalanced(code, "#include <vector>\n")


@pytest.mark.parametrize(
    ("code", "preamble"),
    [
        (f"{HEAD} {{ return 0; /* ( */ }} // }}", ""),
        (f"{HEAD} {{ return v[0] < 3 ? '(' : ')'; }}", ""),
        (f'{HEAD} {{ return sizeof(R"(()"); }}', ""),
        (f"#define CLOSE }}\n{HEAD} {{ return 0; CLOSE", ""),
        (f"{HEAD} <% return 0; }}", ""),
        (f"{HEAD} BEGIN return 0; }}", "#define BEGIN {\n"),
    ],
)
def test_what_only_a_compiler_can_tell_is_left_to_it(code: str, preamble: str) -> None:
    assert unbalanced(code, preamble) == ""


def test_the_compiler_agrees_on_unbalanced_text() -> None:
    judge = Judge(workers=1)
    try:
        jobs = [Job(str(i), code, HEAD, [{"args": [[1]], "expected": 1}]) for i, code in enumerate(BROKEN)]
        assert [judge.bench.alone(prepare(job)).verdict for job in jobs] == ["CE"] * len(jobs)
        assert [result.verdict for result in judge.batch(jobs)] == ["CE"] * len(jobs)
    finally:
        judge.close()
