"""Pieces of a change are judged like whole files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.lexer import tokens
from cpp_pipeline.extract.pieces import Piece, core, pieces
from cpp_pipeline.extract.touched import Comparison, compare

LINES = [
    "int x;",
    "}",
    "};",
    "void f() {",
    "  g();",
    "namespace n {",
    "#if A",
    "#endif",
    "// }",
    "/* a",
    "b */",
    '  s = "{";',
    "",
]
TEXTS = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join)


@given(TEXTS, TEXTS)
def test_pieces_hold_every_difference(before: str, after: str) -> None:
    found = pieces(before, after)
    assert (found == []) == (before == after)
    rebuilt, at = "", 0
    for piece in found:
        start = before.index(piece.before, at)
        rebuilt += before[at:start] + piece.after
        at = start + len(piece.before)
        assert piece.tail == 0 or piece.before[-piece.tail :] == piece.after[-piece.tail :]
        closed = piece.closed()
        if closed is not None:
            assert piece.before.startswith(closed.before)
            assert piece.before[len(closed.before) :] == piece.after[len(closed.after) :]


@given(TEXTS, TEXTS)
def test_the_core_tells_whether_tokens_differ(before: str, after: str) -> None:
    x, y = core(before, after)
    assert (tokens(x) != tokens(y)) == (tokens(before) != tokens(after))


@pytest.mark.parametrize("comment", ["/* a\n b\n*/\n", "// a\n// b\n", "/* */ int y;\n// b\n"])
def test_a_changed_comment_is_no_change_of_code(comment: str) -> None:
    before = f"int x;\n{comment}void f() {{\n}}\n"
    after = before.replace("b", "c d e")
    assert compare(before, after, pieces(before, after)).is_code is False


FUNCTIONS = [
    "int add(int a, int b) {\n  return a + b;\n}\n",
    "template <typename T>\nT twice(T x) {\n  if (x) {\n    x += x;\n  }\n  return x;\n}\n",
    "struct Box {\n  int size() const { return n; }\n  void grow() {\n    n += 1;\n  }\n  int n;\n};\n",
    'void Box::log() {\n#if A\n  puts("}");\n#else\n  puts("{");\n#endif\n}\n',
    "int one() { return 1; }\n",
    "static const int table[] = {\n  1, 2, 3,\n};\n",
]
EDITS = [
    ("return", "g(); return"),
    ("n += 1", "n += 2"),
    ("1", "11"),
    ('"}"', '"x"'),
    ("int add", "long add"),
    ("{", "{ // why\n"),
]
FILES = st.lists(st.sampled_from(FUNCTIONS), min_size=1, max_size=6, unique=True).map(
    lambda parts: "#include <x>\nnamespace a {\nnamespace b {\n\n" + "\n".join(parts) + "\n}  // namespace b\n}\n"
)


def facts(found: Comparison) -> object:
    one = found.changed[0] if len(found.changed) == 1 and not found.appearing else None
    return one and (one.before.code, one.after.code, one.before.has_parse_error), found.is_code, found.has_residue


@given(FILES, st.lists(st.tuples(st.sampled_from(EDITS), st.integers(1, 3)), min_size=1, max_size=2))
def test_pieces_tell_what_the_whole_file_tells(before: str, changes: list[tuple[tuple[str, str], int]]) -> None:
    after = before
    for (was, now), count in changes:
        after = after.replace(was, now, count)
    whole = compare(before, after, [Piece(before, after, 0)])
    assert facts(compare(before, after, pieces(before, after))) == facts(whole)


def test_a_change_that_breaks_the_code_around_it_is_no_change_of_one_function() -> None:
    """Of such code, pieces and the whole may tell different functions; none may become a training row."""
    before = (
        "namespace a {\nnamespace b {\n\nint one() { return 1; }\n\nint two[] = {\n  2,\n};\n\n}  // namespace b\n}\n"
    )
    after = before.replace("{ return", "{ // why return")
    for found in (pieces(before, after), [Piece(before, after, 0)]):
        assert compare(before, after, found).has_residue is not False


def test_only_the_definition_around_a_change_is_a_piece() -> None:
    before = "int a() {\n  return 1;\n}\nint b() {\n  return 2;\n}\nint c() {\n  return 3;\n}\n"
    (piece,) = pieces(before, before.replace("2", "20"))
    assert piece.before == "int b() {\n  return 2;\n}\n"
    both = pieces(before, before.replace("1", "10").replace("3", "30"))
    assert [p.before.split("(")[0] for p in both] == ["int a", "int c"]


@pytest.mark.parametrize(
    "before",
    [
        "void f() {\n  if (a) {\n  }\n}\n",  # no line begins a definition before it
        "void f() {\n#ifdef A\n  if (a) {\n}\n#endif\n  g();\n  h();\n}\n",  # a brace at the margin inside
        "namespace n {\nvoid f() { g(); h(); }\n}\nint z;\n",
        "namespace n {\nint y;\n}\nvoid f()\n{\n  g(); h();\n}",
    ],
)
def test_a_change_is_found_wherever_braces_stand(before: str) -> None:
    after = before.replace("h();", "h(1);") if "h();" in before else before.replace("a", "b")
    found = compare(before, after, pieces(before, after))
    assert [c.before.name for c in found.changed] == ["f"]
    assert found.has_residue is False
