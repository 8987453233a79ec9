"""What g++ says about the rule for plain candidates: nothing is run here, only read."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.sandbox.cpp.names import BARE, GLOBAL, HEADERS, MACROS, SIMPLE, STD_NAMES, TEMPLATES
from cpp_pipeline.sandbox.cpp.plain import is_plain, plain_preamble, unbalanced
from cpp_pipeline.sandbox.types import STANDARDS

HEAD = "int solve(const std::vector<int>& v)"
LEAVES = [
    "int reach = 1;",
    "int a = 1, reach = 2;",
    "auto [reach, b] = v;",
    "n += reach ? 1 : 2;",
    "int c = reach ? 1 : 2;",
]
FORMS = [
    *("{{ {0} }}", "{{ {0} {1} }}", "{{ {0} {1} n++; }}", "for (int reach = 0; n < 2; ++n) {0}", "while (n < 2) {0}"),
    *(
        "for (int k = 0, reach = 1; k < n; ++k) {0}",
        "if (n) {0} else {1}",
        "if (int reach = n) {0}",
        "do {0} while (n < 0);",
    ),
    *(
        "if (int reach = n) {0} else {1}",
        "switch (int reach = n) {{ default: {0} }}",
        "try {{ {0} }} catch (int reach) {{ {1} }}",
    ),
    *("auto f = [&](int reach) {{ {0} }};", "auto f = [&](int) -> int {{ {0} return 1; }};", "for (int reach : w) {0}"),
]
STATEMENTS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.builds(lambda form, one, two: form.format(one, two), st.sampled_from(FORMS), inner, inner),
    max_leaves=6,
)
GOOD = [
    *("int x = 1;", "return 0;", "v++;", "if (v) return 1; else v--;", "{ v++; }", "/* a */", "// a\n", "\n", "(v);"),
    *("auto f = [&](int a) { return a; };", "try { v++; } catch (...) { v--; }", "int pthread_cleanup_push = 1;"),
    *("int assert = 1;", "nothing;", "v.wrong();", "int v = 1;"),
]
BAD = [
    *("(", ")", "[", "]", ";", "/*", "*/", "//", '"', "'", '"}"', "'{'", "\\", "#", "%:", "#define x {\n", "<%", "%>"),
    *("??/", 'R"(', ')"', "namespace c1 {", "assert(v)", "CPU_ZERO(x)", "pthread_cleanup_push(v, 0);", "{", "}"),
    *("v.pthread_cleanup_pop(0);", "pthread_cleanup_pop(0);"),
]
TEXTS = st.one_of(*[st.sampled_from(GOOD)] * 4, st.sampled_from(BAD))
OUTER = st.one_of(st.sampled_from(["", "// end", "/* end */ \n", "}"]), TEXTS)


def _gcc(source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = ["g++", "-fsyntax-only", "-std=c++20", "-x", "c++", *flags, "-"]
    return subprocess.run(command, check=False, input=source, capture_output=True, text=True)


@pytest.fixture(scope="module", params=STANDARDS)
def macros(request: pytest.FixtureRequest) -> dict[str, str]:
    """Macros of all headers that a plain candidate may include, whole <bits/stdc++.h> among them."""
    source = "".join(f"#include <{header}>\n" for header in sorted(HEADERS))
    run = _gcc(source, f"-std={request.param}", "-E", "-dM", "-pthread")
    assert run.returncode == 0, run.stderr
    return dict(re.findall(r"^#define ((?!_)\w+(?:\(.*?\))?) ?(.*)$", run.stdout, re.MULTILINE))


def test_no_macro_with_parameters_can_be_used(macros: dict[str, str]) -> None:
    names = [name.partition("(")[0] for name in macros if "(" in name]
    assert {"assert", "pthread_cleanup_push", "CPU_SET"} <= set(names)
    for name in names:
        for body in (f"int {name} = 1; return {name}(1);", f"return v.{name}(1);", f"auto {name} = v; {name} (v);"):
            assert not is_plain(f"{HEAD} {{ {body} }}", HEAD, "solve"), body
        assert not is_plain(f"int {name}(int n) {{ return n; }} {HEAD} {{ return 1; }}", HEAD, "solve"), name


def test_other_macros_leave_brackets_balanced(macros: dict[str, str]) -> None:
    for name, text in macros.items():
        if "(" not in name and is_plain(f"{HEAD} {{ int {name} = 1; return {name}; }}", HEAD, "solve"):
            assert not set(";#") & set(text), (name, text)
            assert unbalanced(text, "") == "", (name, text)


def test_words_that_the_rule_knows_exist() -> None:
    lines = [f"#include <{header}>\n" for header in sorted(HEADERS - {"bits/stdc++.h"})]
    assert plain_preamble("".join(lines))
    lines += [f"using std::{name};\n" for name in sorted(STD_NAMES)]
    lines += [f"const auto check_{name} = {name};\n" for name in sorted(BARE - SIMPLE)]
    lines += [f"int (*check_{name})(int) = ::{name};\n" for name in sorted(GLOBAL)]
    run = _gcc("".join(lines), f"-std={STANDARDS[0]}")
    assert run.returncode == 0, run.stderr
    assert SIMPLE | TEMPLATES <= STD_NAMES
    assert not STD_NAMES & MACROS


@given(st.lists(STATEMENTS, min_size=1, max_size=4).map(" ".join))
@settings(max_examples=100, deadline=None)
def test_a_plain_body_reaches_no_name_from_outside(body: str) -> None:
    code = f"int solve(int n) {{ {body} return n; }}"
    if is_plain(code, "int solve(int n)", "solve", "int v(int n) { return n; } int w(int n) { return n; }"):
        outside = '[[deprecated("touched")]] int reach(int); struct { int a, b; } v; int w[2];\n'
        run = _gcc(f"{outside} namespace c0 {{ {code} }}")
        assert run.returncode != 0 or "touched" not in run.stderr


@given(st.lists(TEXTS, max_size=6).map(" ".join), OUTER)
@settings(max_examples=400, deadline=None)
def test_what_is_wrong_in_a_plain_text_is_wrong_in_it_alone(inner: str, outer: str) -> None:
    head = "int solve(int v)"
    code = f"{head} {{ {inner} }} {outer}"
    if is_plain(code, head, "solve"):
        unit = f'#include <pthread.h>\n#line 1 "c0"\nnamespace c0 {{\n{code}\n}}\n'
        unit += f'#line 1 "c1"\nnamespace c1 {{\n{head} {{ /* next */ return v; }}\n}}\nint last = c1::solve(1);\n'
        errors = [line for line in _gcc(unit).stderr.splitlines() if "error" in line]
        assert all(line.startswith("c0:") for line in errors), (code, errors)
