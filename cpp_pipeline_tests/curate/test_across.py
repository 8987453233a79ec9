"""Duplicates over all dumps: in whatever order dumps come, go and change, the result is that of all of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate import across, signatures
from cpp_pipeline.curate.across import Compared, compare
from cpp_pipeline.curate.joins import Engine, open_engine
from cpp_pipeline.curate.representatives import duplicate_pairs, without_duplicates
from cpp_pipeline.curate.signatures import ALGORITHM, THRESHOLD, function_signatures
from cpp_pipeline.extract.lexer import token_sha256
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.curate.test_duplicates import A, B, changed, function, jaccard
from cpp_pipeline_tests.defs.support import frame, row

SHORT = "int size() const { return size_; }"
Dumps = dict[str, list[str]]


def pairs_of(dump: str, codes: list[str], quality: float = 0.5) -> pl.DataFrame:
    rows = [
        row(
            "docstring_pairs",
            pair_id=f"{dump}-{i}",
            dump=dump,
            code=code,
            token_sha256=token_sha256(code),
            quality=quality,
        )
        for i, code in enumerate(codes)
    ]
    return frame("docstring_pairs", *rows)


class Root:
    """The tables of some dumps, compared time after time."""

    def __init__(self, engine: Engine, scratch: Path) -> None:
        self._engine, self._scratch = engine, scratch
        self.before: Compared | None = None

    def compare(self, dumps: Dumps) -> list[tuple[int, int, float]]:
        pairs = pl.concat([TABLES["docstring_pairs"].empty().collect(), *(pairs_of(d, c) for d, c in dumps.items())])
        signed = function_signatures_of(dumps)
        versions = {dump: token_sha256(" ; ".join(codes)) for dump, codes in dumps.items()}
        made = compare(signed.lazy(), pairs.lazy(), versions, self.before, self._engine, self._scratch)
        self.before = Compared(made.edges.collect().lazy(), made.dumps.collect().lazy())
        return made.edges.select("left_text", "right_text", "jaccard").collect().rows()


def function_signatures_of(dumps: Dumps) -> pl.DataFrame:
    empty = TABLES["function_signatures"].empty().collect()
    return pl.concat([empty, *(function_signatures(pairs_of(d, c).lazy()).collect() for d, c in dumps.items())])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


VARIANTS = [A, B, SHORT, *(changed(A, range(i, i + 1 + i % 5)) for i in range(3, 30, 3)), changed(B, range(5, 7))]
CODES = st.lists(st.sampled_from(VARIANTS), max_size=6, unique=True)
NAMES = ("d1", "d2", "d3", "d4")


@st.composite
def histories(draw: st.DrawFn) -> list[Dumps]:
    """States of a root, one after the other: every dump is absent, or has one of two versions."""
    versions = {name: draw(st.tuples(CODES, CODES)) for name in NAMES}
    chosen = draw(st.lists(st.tuples(*[st.sampled_from([None, 0, 1])] * len(NAMES)), min_size=2, max_size=5))
    return [
        {name: versions[name][n] for name, n in zip(NAMES, state, strict=True) if n is not None} for state in chosen
    ]


@pytest.mark.parametrize(
    ("per_dump", "window", "rows"),
    [(signatures.PER_DUMP, across.WINDOW, signatures.ROWS), (1, across.WINDOW, signatures.ROWS), (8, 3, 1)],
)
def test_any_history_gives_what_one_go_gives(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_dump: int, window: int, rows: int
) -> None:
    """As it is; with rows that do not say their keys; with buckets that are too full (bands of one row fill them)."""
    monkeypatch.setattr(signatures, "ROWS", rows)
    monkeypatch.setattr(signatures, "PER_DUMP", per_dump)
    monkeypatch.setattr(across, "WINDOW", window)

    @settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(histories())
    def check(states: list[Dumps]) -> None:
        root = Root(engine, tmp_path)
        for dumps in states:
            assert root.compare(dumps) == Root(engine, tmp_path).compare(dict(reversed(dumps.items())))

    check()


def test_edges_are_the_exact_similarities(engine: Engine, tmp_path: Path) -> None:
    near = changed(A, range(3, 4))
    found = Root(engine, tmp_path).compare({"x": [A, B, SHORT], "y": [near, SHORT], "z": [A]})
    ids = {text: int(token_sha256(text)[:15], 16) for text in (A, near)}
    assert found == [(min(ids.values()), max(ids.values()), pytest.approx(jaccard(A, near)))]


def test_only_new_dumps_are_compared(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Root(engine, tmp_path)
    dumps = {"x": [A, changed(A, range(3, 4))], "y": [B, changed(B, range(3, 4))]}
    assert len(root.compare(dumps)) == 2
    looked_at: list[int] = []
    plain = across.similarities

    def seen(left, right, read):  # type: ignore[no-untyped-def]
        looked_at.extend([len(left)])
        return plain(left, right, read)

    monkeypatch.setattr(across, "similarities", seen)
    assert len(root.compare({**dumps, "z": [function("c", 60)]})) == 2
    assert sum(looked_at) == 0
    assert len(root.compare({**dumps, "z": [changed(B, range(9, 10))]})) == 4
    assert sum(looked_at) == 2


def test_tables_of_another_algorithm(engine: Engine, tmp_path: Path) -> None:
    root = Root(engine, tmp_path)
    dumps = {"x": [A], "y": [changed(A, range(3, 4))]}
    (edge,) = root.compare(dumps)
    assert root.before is not None
    other = pl.lit(ALGORITHM + 1, pl.Int64).alias("algorithm")
    root.before = Compared(root.before.edges.head(0), root.before.dumps.with_columns(other))
    assert root.compare(dumps) == [edge]
    signed = function_signatures_of(dumps).lazy().with_columns(other)
    with pytest.raises(ValueError, match="function_signatures of x, y are of another algorithm: materialize them"):
        compare(signed, pl.LazyFrame(), {}, None, engine, tmp_path)


def test_pairs_that_do_not_fit_their_signatures(engine: Engine, tmp_path: Path) -> None:
    dumps = {"x": [A], "y": [changed(A, range(3, 4))]}
    pairs = pairs_of("x", [A]).lazy()
    with pytest.raises(ValueError, match="materialize function_signatures"):
        compare(function_signatures_of(dumps).lazy(), pairs, dict.fromkeys(dumps, "1"), None, engine, tmp_path)


def test_signatures_fit_their_table_and_a_family_speaks_with_few_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "PER_DUMP", 2)
    family = [changed(A, range(3, 4)).replace("other3", f"own{i}") for i in range(6)]
    made = function_signatures(pairs_of("x", [*family, B, SHORT]).lazy())
    assert TABLES["function_signatures"].violations(made) == {}
    found = made.collect()
    assert found["is_crowded"].to_list() == [False, False, True, True, True, True, False, False]
    rows, keys = signatures.unpacked(found["bands"])
    assert rows.tolist() == list(range(7))
    assert Counter(keys[keys != 0].tolist()).most_common(1)[0][1] == 2


def test_the_best_of_all_dumps_stays(engine: Engine, tmp_path: Path) -> None:
    near = changed(A, range(3, 4))
    pairs = pl.concat([pairs_of("x", [A, SHORT], 0.4), pairs_of("y", [near, B], 0.6), pairs_of("z", [A, SHORT], 0.9)])
    signed = pl.concat([function_signatures(part.lazy()) for part in pairs.partition_by("dump")])
    versions = dict.fromkeys("xyz", "1")
    edges = compare(signed, pairs.lazy(), versions, None, engine, tmp_path).edges
    gone = duplicate_pairs(signed, edges)
    assert TABLES["duplicate_pairs"].violations(gone) == {}
    assert gone.collect().rows() == [
        ("x-0", "x", "z-0", "z", 1.0, "exact"),
        ("x-1", "x", "z-1", "z", 1.0, "exact"),
        ("y-0", "y", "z-0", "z", pytest.approx(jaccard(A, near)), "near"),
    ]
    assert without_duplicates(pairs.lazy(), gone).collect()["pair_id"].to_list() == ["y-1", "z-0", "z-1"]


def test_copies_of_a_function_that_goes_go_to_the_one_that_stays(engine: Engine, tmp_path: Path) -> None:
    near = changed(A, range(3, 4))
    pairs = pl.concat([pairs_of("x", [A], 0.5), pairs_of("y", [A], 0.6), pairs_of("z", [near], 0.7)])
    signed = pl.concat([function_signatures(part.lazy()) for part in pairs.partition_by("dump")])
    edges = compare(signed, pairs.lazy(), dict.fromkeys("xyz", "1"), None, engine, tmp_path).edges
    assert edges.select((pl.col("jaccard") >= THRESHOLD).all()).collect().item()
    found = duplicate_pairs(signed, edges).select("pair_id", "kept_pair_id", "reason").collect().rows()
    assert found == [("x-0", "z-0", "near"), ("y-0", "z-0", "near")]
