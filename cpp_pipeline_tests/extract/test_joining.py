"""Which declaration's documentation a definition takes."""

from __future__ import annotations

import pytest

from cpp_pipeline.extract.functions import Declaration
from cpp_pipeline.extract.joining import (
    Ambiguous,
    DeclarationIndex,
    Definition,
    IncludeGraph,
    Joined,
    is_scope_suffix,
    split_scopes,
)

FILES = {
    "include/p/a.h": ['"b.h"'],
    "include/p/b.h": [],
    "src/a.cc": ["<p/a.h>"],
    "src/other.cc": [],
    "loop/x.h": ['"y.h"'],
    "loop/y.h": ['"x.h"'],
}


def graph() -> IncludeGraph:
    found = IncludeGraph()
    for path, includes in FILES.items():
        found.add("r", path, includes)
    return found


def declared(name: str, types: tuple[str, ...] = (), doc: str = "/// d", anonymous: bool = False) -> Declaration:
    return Declaration(name.rsplit("::", maxsplit=1)[-1], name, types, doc, 7, anonymous)


def find(
    name: str,
    types: tuple[str, ...],
    *places: tuple[str, Declaration],
    path: str = "src/a.cc",
    anonymous: bool = False,
) -> Joined | Ambiguous | None:
    index = DeclarationIndex(graph())
    for where, declaration in places:
        index.add("r", where, [declaration])
    return index.find(Definition("r", path, name, types, anonymous))


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("src/a.cc", {"src/a.cc", "include/p/a.h", "include/p/b.h"}),
        ("src/other.cc", {"src/other.cc"}),
        ("loop/x.h", {"loop/x.h", "loop/y.h"}),
        ("unknown.cc", {"unknown.cc"}),
    ],
)
def test_reachable_files(path: str, reached: set[str]) -> None:
    assert graph().reachable("r", path) == reached


def test_repositories_do_not_mix() -> None:
    found = graph()
    found.add("other", "src/z.cc", ["<p/a.h>"])
    assert found.reachable("other", "src/z.cc") == {"src/z.cc"}


def test_plain_join() -> None:
    found = find("n::A::f", ("int",), ("include/p/a.h", declared("n::A::f", ("int",))))
    assert found == Joined("/// d", "include/p/a.h", 7)


def test_join_through_a_transitive_include_and_a_shorter_scope() -> None:
    assert find("A::f", (), ("include/p/b.h", declared("n::A::f"))) is not None


@pytest.mark.parametrize(
    ("name", "where", "declaration"),
    [
        ("A::f", "src/other.cc", declared("A::f")),
        ("DBImpl::Writer::Writer", "include/p/a.h", declared("log::Writer::Writer")),
        ("A::f", "include/p/a.h", declared("B::f")),
        ("A::f", "include/p/a.h", declared("A::f", ("int",))),
        ("f", "include/p/a.h", declared("f", anonymous=True)),
    ],
)
def test_no_join(name: str, where: str, declaration: Declaration) -> None:
    assert find(name, (), (where, declaration)) is None


def test_anonymous_joins_in_its_own_file() -> None:
    assert find("f", (), ("src/a.cc", declared("f", anonymous=True)), anonymous=True) is not None


def test_exact_types_win_over_their_number() -> None:
    right, left = declared("f", ("int",), "/// int"), declared("f", ("double",), "/// double")
    found = find("f", ("double",), ("include/p/a.h", right), ("include/p/a.h", left))
    assert isinstance(found, Joined)
    assert found.doc_raw == "/// double"


def test_equal_number_of_parameters_is_enough_when_there_is_one_doc() -> None:
    found = find("f", ("size_type",), ("include/p/a.h", declared("f", ("size_t",))))
    assert isinstance(found, Joined)


def test_two_documentations_are_ambiguous_but_one_said_twice_is_not() -> None:
    a, b = declared("f", ("int",), "/// a"), declared("f", ("long",), "/// b")
    found = find("f", ("T",), ("include/p/a.h", a), ("include/p/b.h", b))
    assert found == Ambiguous(("include/p/a.h:7", "include/p/b.h:7"))
    same = declared("f", ("long",), "// a")
    assert isinstance(find("f", ("T",), ("include/p/a.h", a), ("include/p/b.h", same)), Joined)


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
    assert is_scope_suffix(a, b) is is_suffix


def test_operators_are_one_scope() -> None:
    assert split_scopes("a::B::operator std::string") == ("a", "B", "operator std::string")
    assert split_scopes("my_operator::f") == ("my_operator", "f")
