"""Which declaration's documentation a definition takes."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from cpp_pipeline.extract.joining import (
    Ambiguous,
    Candidate,
    Declarations,
    Graphs,
    choose,
    is_scope_suffix,
    join_key,
)

FILES = {
    "include/p/a.h": ['"b.h"'],
    "include/p/b.h": [],
    "src/a.cc": ["<p/a.h>"],
    "src/other.cc": [],
    "late.h": ['"late.inl"'],
    "late.inl": [],
}
PATHS = list(FILES)


def graphs(repos: dict[str, dict[str, list[str]]]) -> Graphs:
    rows = [(repo, path, includes) for repo, files in repos.items() for path, includes in files.items()]
    schema = {"repo": pl.String(), "path": pl.String(), "includes": pl.List(pl.String())}
    return Graphs(pl.DataFrame(rows, schema, orient="row"))


def functions(rows: list[tuple[str, str, int, bool]]) -> pl.DataFrame:
    """Columns of declarations or definitions; rows of (repo, qualified name, file, is anonymous)."""
    schema = {"repo": pl.String(), "qualified_name": pl.String(), "file": pl.Int64(), "is_anonymous": pl.Boolean()}
    key = join_key(pl.col("repo"), pl.col("qualified_name")).alias("key")
    return pl.DataFrame(rows, schema, orient="row").with_columns(key)


def allowed(
    name: str, path: str, *declared: tuple[str, str], anonymous: bool = False, hidden: bool = False
) -> list[int]:
    """Numbers of the declarations (name, path) that a definition may belong to."""
    known = Declarations(functions([("r", n, PATHS.index(p), hidden) for n, p in declared]))
    wanted = functions([("r", name, PATHS.index(path), anonymous)]).with_row_index("definition")
    found = pl.concat(known.candidates(wanted, graphs({"r": FILES})))
    return sorted(found["declaration"])


@pytest.mark.parametrize(
    ("name", "path", "declaration"),
    [
        ("n::A::f", "src/a.cc", ("n::A::f", "include/p/a.h")),
        ("A::f", "src/a.cc", ("n::A::f", "include/p/b.h")),
        ("n::A::f", "src/a.cc", ("A::f", "include/p/b.h")),
        ("f", "src/other.cc", ("f", "src/other.cc")),
        ("late::f", "late.inl", ("late::f", "late.h")),
        ("X::operator std::string", "src/a.cc", ("n::X::operator std::string", "include/p/a.h")),
        ("X::operator<<", "src/a.cc", ("n::X::operator<<", "include/p/a.h")),
    ],
)
def test_may_join(name: str, path: str, declaration: tuple[str, str]) -> None:
    assert allowed(name, path, declaration) == [0]


@pytest.mark.parametrize(
    ("name", "path", "declaration"),
    [
        ("A::f", "src/other.cc", ("A::f", "include/p/a.h")),
        ("DBImpl::Writer::Writer", "src/a.cc", ("log::Writer::Writer", "include/p/a.h")),
        ("A::f", "src/a.cc", ("B::f", "include/p/a.h")),
        ("BA::f", "src/a.cc", ("A::f", "include/p/a.h")),
        ("late::f", "late.inl", ("n::late::f", "late.h")),
    ],
)
def test_may_not_join(name: str, path: str, declaration: tuple[str, str]) -> None:
    assert allowed(name, path, declaration) == []


def test_equal_names_go_before_suffixes() -> None:
    places = ("A::f", "include/p/a.h"), ("n::A::f", "include/p/b.h"), ("n::A::f", "include/p/a.h")
    assert allowed("n::A::f", "src/a.cc", *places) == [1, 2]


def test_anonymous_ones_join_in_their_own_file_only() -> None:
    for anonymous, hidden in ((True, False), (False, True), (True, True)):
        header, same = ("f", "include/p/a.h"), ("f", "src/a.cc")
        assert allowed("f", "src/a.cc", header, same, anonymous=anonymous, hidden=hidden) == [1]


def test_repositories_do_not_mix() -> None:
    graph = graphs({"r": FILES, "other": {"src/a.cc": ["<p/a.h>"]}})
    known = Declarations(functions([("r", "A::f", 0, False)]))
    wanted = functions([("other", "A::f", len(FILES), False), ("r", "A::f", 2, False)]).with_row_index("definition")
    found = pl.concat(known.candidates(wanted, graph))
    assert found["definition"].to_list() == [1]


def test_many_pairs_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cpp_pipeline.extract.joining._MAX_PAIRS", 5)
    known = Declarations(functions([("r", "f", 0, False)] * 4 + [("r", "g", 0, False)]))
    wanted = functions([("r", n, 2, False) for n in "fgfhf"]).with_row_index("definition")
    parts = list(known.candidates(wanted, graphs({"r": FILES})))
    assert max(p.height for p in parts) <= 5
    assert pl.concat(parts)["definition"].value_counts(sort=True).rows() == [(0, 4), (2, 4), (4, 4), (1, 1)]


def candidate(types: tuple[str, ...], doc: str = "/// d", line: int = 7, qualifiers: str = "") -> Candidate:
    return Candidate(types, qualifiers, doc, "a.h", line)


def test_exact_types_win_over_their_number() -> None:
    right, left = candidate(("int",), "/// int"), candidate(("double",), "/// double")
    assert choose(("double",), "", [right, left]) == left


def test_equal_number_of_parameters_is_enough_when_there_is_one_doc() -> None:
    only = candidate(("size_t",))
    assert choose(("size_type",), "", [only, candidate(("a", "b"), "/// two")]) == only


def test_another_number_of_parameters_does_not_fit() -> None:
    assert choose((), "", [candidate(("int",))]) is None
    assert choose((), "", []) is None


def test_two_documentations_are_ambiguous_but_one_said_twice_is_not() -> None:
    a, b = candidate(("int",), "/// a", 1), candidate(("long",), "/// b", 2)
    assert choose(("T",), "", [a, b]) == Ambiguous(("a.h:1", "a.h:2"))
    assert choose(("int",), "", [a, candidate(("int",), "// a")]) == a
    assert choose(("T",), "", [a, candidate(("U",), "/// a", 2)]) == Ambiguous(("a.h:1", "a.h:2"))


def test_an_undocumented_overload_keeps_its_definition() -> None:
    documented, other = candidate(("int",), "/// a", 1), candidate(("long",), "", 2)
    assert choose(("long",), "", [documented, other]) is None
    assert choose(("int",), "", [documented, other]) == documented
    assert choose(("T",), "", [documented, other]) == Ambiguous(("a.h:1",))
    assert choose(("T",), "", [other]) is None


@pytest.mark.parametrize(
    ("a", "b", "is_suffix"),
    [
        ("A::f", "n::A::f", True),
        ("n::A::f", "A::f", True),
        ("f", "f", True),
        ("BA::f", "A::f", False),
        ("n::A::f", "m::A::f", False),
        ("X::operator std::string", "n::X::operator std::string", True),
    ],
)
def test_scope_suffix(a: str, b: str, is_suffix: bool) -> None:
    frame = pl.DataFrame({"a": [a], "b": [b]})
    assert frame.select(is_scope_suffix(pl.col("a"), pl.col("b"))).item() is is_suffix


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("a::B::operator std::string", "B::operator std::string"),
        ("x::my_operator::f", "my_operator::f"),
        ("x::a::operator<<", "a::operator<<"),
        ("x::a::b::c", "b::c"),
        ("n::A::~A", "A::~A"),
    ],
)
def test_keys_hold_the_last_two_parts_of_the_name(name: str, last: str) -> None:
    def key(of: str) -> Any:
        return pl.DataFrame({"q": [of]}).select(join_key(pl.lit("r"), pl.col("q"))).item()

    assert key(name) == key(last)
    assert len({key(last), key(f"x{last}"), key(f"{last}x"), key(last.split("::", 1)[1])}) == 4


def test_qualifiers_tell_overloads_apart() -> None:
    plain, constant = candidate((), "/// a", 1), candidate((), "/// b", 2, "const")
    assert choose((), "const", [plain, constant]) == constant
    assert choose((), "", [plain, constant]) == plain
    assert choose((), "&&", [plain, constant]) is None
