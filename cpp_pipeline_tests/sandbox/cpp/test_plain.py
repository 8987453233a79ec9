"""Which candidates may share a unit."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.problems.family import generate
from cpp_pipeline.sandbox.canaries import ATTACKS
from cpp_pipeline.sandbox.canaries.attacks import Attack
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.cpp.lexer import normalised, tokens
from cpp_pipeline.sandbox.cpp.plain import is_plain, obstacle, plain_preamble, unbalanced
from cpp_pipeline.sandbox.cpp.prototype import parse_signature
from cpp_pipeline.sandbox.types import Job

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
        "string s; return s.find('a') == string::npos and not s.empty() or v[0];",
        "std::string s; std::transform(s.begin(), s.end(), s.begin(), ::tolower); return s.size();",
        "for (int i = 0, n = v.size(); i < n; i++) if (int k = v[i]) return k; else return k + 1; return 0;",
        'if (v.empty()) throw std::invalid_argument("empty"); try { return stoi("x"); } catch (...) { return 1; }',
        "try { return v.at(9); } catch (int e) { return e; }",
        "std::function<int(int)> f = [&](int k) -> int { return k < 2 ? k : f(k - 1) + f(k - 2); }; return f(v[0]);",
        "std::stringstream ss(\"a b\"); std::string w; int n = 0; while (getline(ss, w, ' ')) n++; return n;",
        "std::vector<int> list; int set = 1; list.push_back(set); return set < 3 && list.size() > 2;",
        "int i; for (i = 0; i < 3; i++) for (int j = 0; j < i; j++) for (int k : v) if (k > j) return k; return i;",
        "do { int k = v[0]; if (k) break; } while (false); switch (v[0]) { case 1: return 1; default: return 2; }",
        "return 0; // \u00e9 \u279e\n",
        'std::string s = "__"; return s.size();',
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
        # a comment that is never closed would swallow the next candidate
        f"{HEAD} {{ return v.size() /* 1; }}",
        f"{HEAD} {{ return 0; }} /* }}",
        # names that mean something else where their scope has ended, or before it begins
        f"{HEAD} {{ {{ int usleep = 1; }} return usleep(5); }}",
        f"{HEAD} {{ for (int usleep = 0; usleep < 2; usleep++) ; return usleep(5); }}",
        f"{HEAD} {{ for (int usleep = 0;;) for (int k : v) k++; return usleep(5); }}",
        f"{HEAD} {{ if (int usleep = 0) {{ }} else {{ }} return usleep(5); }}",
        f"{HEAD} {{ auto f = [](int usleep) {{ return 1; }}; return usleep(5); }}",
        f"{HEAD} {{ try {{ }} catch (int usleep) {{ }} return usleep(5); }}",
        f"{HEAD} {{ int a = usleep(5); int usleep = 1; return a; }}",
        f"{HEAD} {{ [](auto... usleep) {{ }}; return usleep(5); }}",
        # template arguments and parameters that look like further declarators
        f'{HEAD} {{ auto a = std::tuple<int, ofstream, int>{{}}; ofstream f("x"); return 0; }}',
        f'{HEAD} {{ auto g = [](int a, ofstream, int b) {{ ofstream f("x"); return 1; }}; return 0; }}',
        f"{HEAD} {{ int usleep(unsigned); return usleep(5); }}",
        f"{HEAD} {{ int pause(); return pause(); }}",
        f"{HEAD} {{ auto p = v.empty() and &v; return 0; }}",
        f"{HEAD} {{ return ::exit(0), 1; }}",
        f"{HEAD} {{ return (::system(0)); }}",
        f"{HEAD} {{ int string = 1; return string::npos; }}",
        f"{HEAD} {{ return __builtin_popcount(v[0]); }}",
        f"{HEAD} {{ int x__y = 1; return x__y; }}",
        # other functions beside it have to be as plain
        f"int helper() {{ return fork(); }} {HEAD} {{ return helper(); }}",
        f"{HEAD} {{ return helper(); }} int helper() {{ return 1; }}",
        f"int helper() {{ return solve(1); }} {HEAD} {{ return helper(); }}",
        f"int usleep(int n) {{ return n; }} {HEAD} {{ return pause(); }}",
        f"int sort(int n) {{ return n; }} {HEAD} {{ return sort(1); }}",
        f"int judge_x() {{ return 1; }} {HEAD} {{ return judge_x(); }}",
        f"int _exit(int n) {{ return n; }} {HEAD} {{ return 0; }}",
        f"int main() {{ return 0; }} {HEAD} {{ return 0; }}",
        f"static int helper() {{ return 1; }} {HEAD} {{ return helper(); }}",
        f"int helper(); {HEAD} {{ return helper(); }}",
        f"int x = 1; int helper() {{ return 1; }} {HEAD} {{ return helper(); }}",
        f"template <class T> int helper(T t) {{ return 1; }} {HEAD} {{ return helper(1); }}",
        f"struct A {{ int x; }}; {HEAD} {{ return 1; }}",
        f"int helper(FILE* f) {{ return 1; }} {HEAD} {{ return 1; }}",
        f"int helper(int n = fork()) {{ return n; }} {HEAD} {{ return helper(); }}",
        f"{HEAD} {{ return 0; }} {HEAD} {{ return 1; }}",
        "int solve(std::vector<int> v) { return 0; }",
        "int solve(const std::vector<int>& v, int n) { return 0; }",
        "long solve(const std::vector<int>& v) { return 0; }",
        "int solve(const std::vector<int>& fork) { return 0; }",
        "int solve(const std::vector<int>& v = {}) { return 0; }",
    ],
)
def test_not_plain(code: str) -> None:
    assert not is_plain(code, HEAD, "solve")


@pytest.mark.parametrize(
    "code",
    [
        f"bool even(int n) {{ return n % 2 == 0; }}\n{HEAD} {{ return even(v[0]); }}",
        f"int one(int n) {{ return n; }} int two(int n) {{ return one(n) + two(n - 1); }} {HEAD} {{ return two(3); }}",
        f"void add(vector<int>& w, const string& s) {{ w.push_back(s.size()); }} {HEAD} {{ return 0; }}",
        "int solve(const vector<int> &numbers) { return numbers[0]; }",
        "int solve(const std::vector<int>&) { return 1; }",
        "int solve(const std::vector<int>& list) { return list[0]; }",
    ],
)
def test_functions_beside_it_and_names_of_parameters_do_not_matter(code: str) -> None:
    assert obstacle(code, HEAD, "solve") == ""


def test_a_function_named_like_one_of_the_library_is_plain_while_it_does_not_use_that_name() -> None:
    head = "vector<int> unique(vector<int> v)"
    assert is_plain(f"{head} {{ sort(v.begin(), v.end()); return v; }}", head, "unique")
    assert is_plain(f"{head} {{ v.erase(std::unique(v.begin(), v.end()), v.end()); return v; }}", head, "unique")
    assert not is_plain(f"{head} {{ v.erase(unique(v.begin(), v.end()), v.end()); return v; }}", head, "unique")


@pytest.mark.parametrize(
    "preamble",
    [
        "",
        "#include <vector>\n\nusing namespace std;\n// note\n",
        "/* asks for\n * this \u279e */\n#include<stdio.h>\n# include <bits/stdc++.h> // all\n#undef NDEBUG\n",
        "#pragma once\n",
        "#include <vector>\r\nusing namespace std;\r\n",
        "int helper(int n) { return n + 1; }",
    ],
)
def test_preamble_may_hold_harmless_includes_and_plain_functions(preamble: str) -> None:
    assert plain_preamble(preamble)


@pytest.mark.parametrize(
    "preamble",
    [
        "#include <unistd.h>",
        "#include <thread>",
        "#include <vector>\n#include <csetjmp>\n",
        '#include "vector"',
        "#include <../vector>",
        "#define string int\n",
        "using std::string;",
        "int x = 1;",
        "struct A { int x; };",
        "int helper() { return fork(); }",
        "int helper() { static int x = 1; return x; }",
        "int helper() { return other(); }\nint other() { return 1; }",
        "// swallows the next line \\",
        "// swallows the next line \\ ",
        "/* never closed",
        "#include <vector> \\\n#include <unistd.h>\n",
        "#include <vector> int x;",
        "int helper() { return 1;",
    ],
)
def test_preamble_may_hold_nothing_else(preamble: str) -> None:
    assert not plain_preamble(preamble)


def test_functions_of_the_preamble_may_be_called() -> None:
    preamble = "#include <vector>\nint helper(int n) { return n + 1; }\n"
    code = f"{HEAD} {{ return helper(v[0]); }}"
    assert is_plain(code, HEAD, "solve", preamble)
    assert not is_plain(code, HEAD, "solve")
    assert not is_plain(f"int helper(int n) {{ return n; }} {code}", HEAD, "solve", preamble), "defined twice"
    assert not is_plain(code, HEAD, "solve", f"{preamble}#define A\n")


def test_layout_and_comments_do_not_change_the_normal_form() -> None:
    assert normalised("int f() {\n  // one\n  return 1; /* two */ }") == normalised("int  f() { return 1;  }")
    assert normalised('auto s = "a  b";') != normalised('auto s = "a b";')
    assert normalised("#define A 1\nint x;") != normalised("#define A 1 int x;")
    assert normalised("int f() { // \\ \n  g();\n }") != normalised("int f() { // \n  g();\n }")
    assert normalised("%:define A 1\nint x;") != normalised("%:define A 1 int x;")
    assert normalised("int x = __LINE__;\n") != normalised("\nint x = __LINE__;\n")


@pytest.mark.parametrize("piece", ["/* ", "(", "{} ", 'R"a(', "\\ "])
def test_long_text_that_goes_nowhere_is_read_once(piece: str) -> None:
    code = piece * (500_000 // len(piece))
    assert normalised(code).strip() == code.strip()


def test_solutions_of_the_generated_family_are_plain() -> None:
    train, held_out = generate(150, 40, 3)
    for row in (*train, *held_out):
        prototype = parse_signature(row["signature"])
        for code in row["references"]:
            assert is_plain(code, row["signature"], prototype.name), code


@given(st.sampled_from(ATTACKS), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_no_attack_on_names_or_text_is_plain(attack: Attack, shift: int) -> None:
    assert not is_plain("\n" * shift + attack.code, attack.problem.signature, "solve"), attack.code


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_a_plain_body_names_no_other_candidate(body: str) -> None:
    code = f"{HEAD} {{ {body} }}"
    if is_plain(code, HEAD, "solve"):
        found = tokens(code) or []
        texts = [text for _, text in found]
        assert not {"#", "fork"} & set(texts)
        for at, text in enumerate(texts):
            assert text != "::" or texts[at - 1] in ("std", "string", ">")


@pytest.mark.parametrize(
    "piece",
    ["vector<", "int a(", "int a,", "std::", "const ", "auto [a,", "map<int,", "function<int(", "for(;;)", "if(a)"],
)
def test_declarations_are_found_in_linear_time(piece: str) -> None:
    short, long = (_calls(f"{HEAD} {{ {piece * (size // len(piece))} }}") for size in (4_000, 16_000))
    assert long < 6 * short


def _calls(code: str) -> int:
    """Function calls that it takes to decide whether a text is plain."""
    count = 0

    def profile(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        is_plain(code, HEAD, "solve")
    finally:
        sys.setprofile(before)
    return count


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
        (f"#define BEGIN {{\n{HEAD} BEGIN return 0; }}", ""),
        (f"{HEAD} {{ pthread_cleanup_push(f, 0) }} while (0); return 0; }}", ""),
    ],
)
def test_what_only_a_compiler_can_tell_is_left_to_it(code: str, preamble: str) -> None:
    assert unbalanced(code, preamble) == ""


def test_the_compiler_agrees_on_unbalanced_text(client: SandboxClient) -> None:
    codes = [*BROKEN, *(f"#include <map>\n{code}" for code in BROKEN[:2])]
    assert all(unbalanced(code, "") for code in codes)
    # where the preamble defines a macro, only the compiler decides
    jobs = [
        Job(f"{i}", code, HEAD, [{"args": [[1]], "expected": 1}], preamble="#include <vector>\n#define X 1\n")
        for i, code in enumerate(codes)
    ]
    assert [result.verdict for result in client.batch_verify(jobs)] == ["CE"] * len(jobs)


def test_plain_whole_files_are_judged_together(client: SandboxClient) -> None:
    body = "{ return accumulate(v.begin(), v.end(), 0); }"
    bodies = {
        f"#include <bits/stdc++.h>\nusing namespace std;\n{HEAD} {body}": "AC",
        f"#include <vector>\n#include <bits/stdc++.h>\n// mine\nusing namespace std;\n\n{HEAD} {body}": "AC",
        f"#include <iostream>\n#include <cmath>\n{HEAD} {{ return std::abs(1.5) == 1.5 ? 3 : 0; }}": "AC",
        "#include <numeric>\nint sum(const std::vector<int>& w) { return std::accumulate(w.begin(), w.end(), 0); }\n"
        "int solve(const std::vector<int>& numbers) { return sum(numbers); }": "AC",
        f"#include <stdio.h>\n#include <stdlib.h>\n{HEAD} {{ return v[7]; }}": "RE",
        f"using namespace std;\n{HEAD} {{ return abs(v[0]) + nothing; }}": "CE",
    }
    jobs = [Job(f"{i}", code, HEAD, [{"args": [[1, 2]], "expected": 3}]) for i, code in enumerate(bodies)]
    assert [result.verdict for result in client.batch_verify(jobs)] == list(bodies.values())
