"""Where the code of a candidate begins that was written as a whole file."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.sandbox.cpp.plain import plain_preamble
from cpp_pipeline.sandbox.cpp.prelude import completed, read_prelude, split_prelude

PIECES = [
    *("#include <stddef.h>", "#pragma once", "#undef NDEBUG", "#define A 1", "using namespace std;", "using std::x;"),
    *("// one", "// two \\", "/* three */", "/* four", "*/", "int f();", '"text"', "\\", "#", "'", "*\\\n/", "/", "*"),
    *("\n", "\n", "\n", " ", "\t", "\r\n", "\r"),
]


@pytest.mark.parametrize(
    ("prelude", "rest"),
    [
        ("", "int f() { return 1; }"),
        ("\n  // note\n", "int f();"),
        ("#include <vector>\n#include<bits/stdc++.h> // all\nusing namespace std;\n\n", "int f();"),
        ("/* one\n * two */ # include <map> /* three */\n", "int f();"),
        ("#undef NDEBUG\n#pragma once\nusing std::vector;  ", "int f();"),
        ("#include <vector>", ""),
        ("#include <vector>\r\n", "int f();"),
        ("", "#define A 1\n#include <vector>\n"),
        ("", '#include "local.h"\n'),
        ("", "#include <vector> int f();\n"),
        ("", "#include <vector> \\\n int f();\n"),
        ("", "#include <vector> /* a line\n end */ int f();"),
        ("using namespace std; ", "#include <vector>\n"),
        ("using namespace std; /* a line\n end */ ", "#include <vector>\n"),
        ("", "// swallows the next line \\\n#include <vector>\n"),
        ("", "// swallows the next line \\ \t\n#include <vector>\n"),
        ("", "/* ends early *\\\n/ int f(); */"),
        ("", "/* never ends"),
        ("// a \\ inside\n", "int f();"),
        ("", "using namespace boost;"),
        ("", "using std::vector, std::map;"),
        ("\n", "\r#include <vector>\n"),
    ],
)
def test_the_rest_begins_with_the_first_other_token(prelude: str, rest: str) -> None:
    assert split_prelude(prelude + rest) == (prelude, rest)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=500, deadline=None)
def test_both_parts_are_the_code(code: str) -> None:
    prelude, rest = split_prelude(code)
    assert prelude + rest == code
    assert split_prelude(prelude) == (prelude, "")


def _preprocessed(code: str) -> str | None:
    """What g++ reads, without white space; None where it finds an error."""
    command = ["g++", "-E", "-P", "-std=c++20", "-x", "c++", "-"]
    run = subprocess.run(command, check=False, input=code.encode(), capture_output=True)
    return None if run.returncode else "".join(run.stdout.decode().split())


@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=10).map("".join))
@settings(max_examples=120, deadline=None)
def test_a_line_end_between_the_parts_changes_nothing_for_the_compiler(code: str) -> None:
    prelude, rest = split_prelude(code)
    if prelude and not rest.startswith("#") and (read := _preprocessed(code)) is not None:
        assert _preprocessed(f"{prelude}\n{rest}") == read


def test_what_is_read() -> None:
    lead = read_prelude("#include <vector>\n# include<map>\nusing std::pair;\nusing namespace std;\nint x;")
    assert lead.headers == {"vector", "map"}
    assert (lead.names, lead.using_std, lead.rest) == ({"pair"}, True, "int x;")
    assert not read_prelude("int x; using namespace std;").using_std


def test_preludes_that_add_the_same_are_one() -> None:
    had = "#include <deque>\n"
    first = completed(had, "// mine\n#include <stack>\n\n#include <list>\nusing namespace std;\n")
    second = completed(
        "#include <deque>\n", "#include <list>\n#include <deque>\n#include <stack>\nusing namespace std;"
    )
    assert first == second
    assert plain_preamble(first)
    assert first.count("include") == 3


def test_what_stands_before_every_unit_is_not_added() -> None:
    assert completed("", "#include <vector>\n#include <string>\n") == ""
    assert completed("using namespace std;", "// note\nusing namespace std;\n") == "using namespace std;"
    assert completed("", "using std::pair;\n#include <iostream>\n").split("\n")[1:3] == [
        *("#include <iostream>", "using std::pair;")
    ]
