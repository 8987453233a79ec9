"""Column lineage names real columns of real inputs, and what the functions do agrees with it."""

import re

import dagster as dg
import pytest

from cpp_pipeline.schemas import TABLES, Table
from cpp_pipeline.schemas.columns import S, column
from cpp_pipeline.schemas.lineage import origins
from cpp_pipeline.selection import made_together
from cpp_pipeline.storage.metadata import column_lineage
from cpp_pipeline_tests.defs.test_definitions import definitions, graph

NO_COLUMN_OF_IT = {
    "repo_dump": "tells that the dump changed; the readers read the dump itself",
    "sandbox_canaries": "comes before verdicts are believed",
    "decontamination_report": "chooses rows",
    "duplicate_pairs": "chooses rows",
    "base_checkpoint": "a model has no columns",
    "sft_checkpoint": "a model has no columns",
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_column_comes_from_columns_of_inputs_or_is_made_here(name: str) -> None:
    for made, origin in origins(TABLES[name]).items():
        assert origin.words, made
        for table, source in origin.columns:
            assert table in graph()[name], f"{name}.{made}: {table} is no input of {name}"
            assert source in TABLES[table].schema, f"{name}.{made}: {table} has no column {source}"


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_input_gives_a_column_or_is_known_not_to(name: str) -> None:
    together = made_together(definitions(), [name])
    named = {table for made in together for origin in origins(TABLES[made]).values() for table, _ in origin.columns}
    assert set(graph()[name]) - named <= NO_COLUMN_OF_IT.keys()


def test_what_is_made_here_says_how() -> None:
    """The words for columns without a source, so that a forgotten source is seen."""
    words = {o.words for t in TABLES.values() for o in origins(t).values() if not o.columns}
    known = (
        r"partition|dump|constant|generated|bundled|preset|sampled|sandbox|which|each|name of|user|data version|file of"
    )
    assert [w for w in words if not re.search(known, w)] == []


def test_the_ui_gets_the_same() -> None:
    shown = column_lineage(TABLES["docstring_sft"]).deps_by_column
    assert {(d.asset_key, d.column_name) for d in shown["instruction"]} == {
        (dg.AssetKey("docstring_pairs"), "signature"),
        (dg.AssetKey("docstring_pairs"), "doc"),
    }
    assert shown["weight"] == []


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"a": "t.x"}, r"missing \['b'\]"),
        ({"a b": "t.x", "c": "t.x"}, r"unknown \['c'\]"),
        ({"a b": "t.x", "b": "t.y"}, r"named twice \['b'\]"),
        ({"*": ""}, r"missing \['a', 'b'\]"),
    ],
)
def test_a_silent_or_wrong_declaration_is_named(sources: dict[str, str], told: str) -> None:
    table = Table("made_up", "For this test.", (column("a", S, "a"), column("b", S, "b")), ("a",), sources=sources)
    with pytest.raises(ValueError, match=f"made_up.*{told}"):
        origins(table)


def test_a_star_is_the_column_of_the_same_name() -> None:
    sources = {"a": "t.*, cut", "*": "t.y of u.*"}
    table = Table("made_up", "For this test.", (column("a", S, "a"), column("b", S, "b")), ("a",), sources=sources)
    assert [o.columns for o in origins(table).values()] == [(("t", "a"),), (("t", "y"), ("u", "b"))]
    assert origins(table)["b"].words == "t.y of u.b"
