"""Conditions that divide functions and classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.branches import first_branches
from cpp_pipeline.extract.functions import complete, read_functions


def visible(source: str) -> list[str] | None:
    branches = first_branches(source.encode())
    return None if branches is None else branches.source.decode().split()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n#if X\nb\n#else\nc\n#endif\nd", ["a", "b", "d"]),
        ("#ifdef X\nb\n#elif Y\nc\n#else\nd\n#endif", ["b"]),
        ("#if 0\nb\n#elif Y\nc\n#else\nd\n#endif", ["c"]),
        ("#if X\n#if Y\na\n#else\nb\n#endif\nc\n#else\n#if Z\nd\n#endif\n#endif\ne", ["a", "c", "e"]),
        ("  #  if X && \\\n  Y\na\n# endif", ["a"]),
        ("#define X\na\n#if X\n#endif", ["#define", "X", "a"]),
        ("a", None),
        ("#if X\na", None),
        ("#if X\na\n#endif\n#endif", None),
        ("#else\n#if X\n#endif", None),
    ],
)
def test_first_branches(source: str, words: list[str] | None) -> None:
    assert visible(source) == words


LINES = st.sampled_from(["#if A", "#if 0", "#ifdef B", "#elif C", "#else", "#endif", "x", "ü {", "", "#define D \\"])


@given(st.lists(LINES, max_size=20))
def test_offsets_and_lines_stay_and_what_vanished_is_known(lines: list[str]) -> None:
    source = "\n".join(lines).encode()
    branches = first_branches(source)
    if branches is None:
        return
    assert len(branches.source) == len(source)
    for at, (old, new) in enumerate(zip(source, branches.source, strict=True)):
        assert new in (old, ord(" "))
        assert (old == ord("\n")) == (new == ord("\n"))
        assert not branches.has_blanked(at) or new in b" \n"


DIVIDED = """
/// Of f.
#if A
int before() { return 0; }
#else
/// In the other.
int other() { return 0; }
#endif

struct X {
  /// Constructs.
  X(int a)
      :
#ifdef DEBUG
        debug_(true),
#endif
        a_(a) {
    if (a) {
      g();
#if B
    } else if (b) {
#else
    } else {
#endif
      h();
    }
  }

#if C
  /// One.
  void one(int a) {
#else
  /// Other.
  void one() {
#endif
    g();
  }

  int plain() { return 1; }
};
"""


def test_functions_that_a_condition_divides() -> None:
    facts = read_functions(DIVIDED)
    assert [(f.qualified_name, f.doc_raw) for f in facts.functions] == [
        ("other", "/// In the other."),
        ("X::X", "/// Constructs."),
        ("X::one", "/// One."),
    ]
    assert [b.qualified_name for b in facts.bare] == ["before", "X::plain"]
    assert facts.functions[1].code.count("#endif") == 2
    whole = complete(facts.bare[1], DIVIDED)
    assert whole is not None
    assert (whole.code, whole.line) == ("int plain() { return 1; }", 39)


def test_a_comment_before_a_condition_documents_nothing() -> None:
    text = "class X {\n/// d\n#if A\n  void f(int a) {\n#else\n  void f() {\n#endif\n    g();\n  }\n};\n"
    facts = read_functions(text)
    assert facts.functions == ()
    assert [b.qualified_name for b in facts.bare] == ["X::f"]
