"""Which candidates may share a unit."""

from __future__ import annotations

import pytest

from cpp_pipeline.sandbox.judge import Judge
from cpp_pipeline.sandbox.lexer import normalised
from cpp_pipeline.sandbox.plain import is_plain, plain_preamble, unbalanced
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline.sandbox.verdicts import prepare

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
    assert normalised("int x = __LINE__;\n") != normalised("\nint x = __LINE__;\n")


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
