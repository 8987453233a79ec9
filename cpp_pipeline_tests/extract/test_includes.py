"""Which files a file reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.includes import IncludeGraph

FILES = {
    "include/p/a.h": ['"b.h"'],
    "include/p/b.h": [],
    "src/a.cc": ["<p/a.h>"],
    "src/other.cc": [],
    "loop/x.h": ['"y.h"'],
    "loop/y.h": ['"x.h"'],
    "one/util.h": [],
    "two/util.h": [],
    "two/deep/main.cc": ['"util.h"'],
    "main.cc": ['"util.h"', "<vector>", '""'],
    "two/up.cc": ['"../one/util.h"'],
}
PATHS = list(FILES)


def reached(path: str) -> set[str]:
    graph = IncludeGraph(PATHS, list(FILES.values()))
    return {PATHS[n] for n in graph.reached(PATHS.index(path), range(len(PATHS)))}


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("src/a.cc", {"include/p/a.h", "include/p/b.h"}),
        ("src/other.cc", set()),
        ("loop/x.h", {"loop/y.h"}),
        ("two/deep/main.cc", {"two/util.h"}),
        ("main.cc", {"one/util.h", "two/util.h"}),
        ("two/up.cc", {"one/util.h"}),
    ],
)
def test_reached_files(path: str, others: set[str]) -> None:
    assert reached(path) == {path} | others


def test_only_what_is_asked_for() -> None:
    graph = IncludeGraph(PATHS, list(FILES.values()))
    wanted = [PATHS.index("include/p/b.h"), PATHS.index("loop/x.h")]
    assert graph.reached(PATHS.index("src/a.cc"), wanted) == {wanted[0]}


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6))
def test_reached_is_the_transitive_closure(edges: list[list[int]]) -> None:
    count = len(edges)
    links = [[f'"f{n % count}.h"' for n in targets] for targets in edges]
    graph = IncludeGraph([f"f{n}.h" for n in range(count)], links)
    known = {(n, n) for n in range(count)}
    for _ in range(count):
        known |= {(a, t % count) for a, b in known for t in edges[b]}
    assert {(a, b) for a in range(count) for b in graph.reached(a, range(count))} == known
