"""Duplicates over dumps: a new dump is compared with the stored ones, and what a killed run left is not believed."""

import dagster as dg
import polars as pl
import pytest

from cpp_pipeline.curate import across
from cpp_pipeline.defs import duplicates
from cpp_pipeline.extract.lexer import token_sha256
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline_tests.curate.test_duplicates import A, B, changed
from cpp_pipeline_tests.defs.support import Bench, frame, row

NEAR = changed(A, range(3, 4))


def pairs(dump: str, *codes: str) -> pl.DataFrame:
    """Rows of docstring_pairs."""
    ids = [f"{dump}/{n}" for n in range(len(codes))]
    rows = zip(ids, codes, strict=True)
    made = [
        row("docstring_pairs", pair_id=i, dump=dump, code=code, token_sha256=token_sha256(code)) for i, code in rows
    ]
    return frame("docstring_pairs", *made)


def sign(bench: Bench, dump: str, *codes: str) -> None:
    """Store a dump's pairs and materialize their signatures."""
    given = pairs(dump, *codes)
    made = bench.in_memory(duplicates.function_signatures, inputs={"docstring_pairs": given}, partition=dump)
    bench.write("docstring_pairs", given, dump)
    bench.write("function_signatures", made["function_signatures"], dump)


def compare(bench: Bench) -> list[tuple[str, ...]]:
    """Materialize what is joined; the rows of duplicate_pairs."""
    names = ("docstring_pairs", "function_signatures")
    upstream = [dg.AssetSpec(name, partitions_def=repo_dumps) for name in names]
    assert bench.run([*upstream, duplicates.near_duplicate_edges, duplicates.duplicate_pairs]).success
    return bench.store.scan("duplicate_pairs").select("pair_id", "kept_pair_id", "reason").collect().rows()


def test_dumps_are_compared_as_they_come(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare(bench) == []
    sign(bench, "one", A, B)
    assert compare(bench) == []
    sign(bench, "two", NEAR, B)
    found = [("two/0", "one/0", "near"), ("two/1", "one/1", "exact")]
    assert compare(bench) == found
    covered = bench.store.scan("compared_dumps").collect()
    assert covered.select("dump", "n_functions").rows() == [("one", 2), ("two", 2)]
    for name in ("near_duplicate_edges", "compared_dumps", "duplicate_pairs"):
        assert TABLES[name].violations(bench.store.scan(name)) == {}
    monkeypatch.setattr(across, "similarities", lambda *_: pytest.fail("nothing is new"))
    # Both dumps have the data version "planted": as far as the tables can tell, nothing changed.
    sign(bench, "two", NEAR, B)
    assert compare(bench) == found


def test_two_tables_that_do_not_belong_together_are_made_anew(bench: Bench) -> None:
    sign(bench, "one", A)
    sign(bench, "two", NEAR)
    assert compare(bench) == [("two/0", "one/0", "near")]
    bench.write("near_duplicate_edges", frame("near_duplicate_edges"))
    assert compare(bench) == [("two/0", "one/0", "near")]
