"""Every table that is joined over dumps can be made of none, one and two of them.

What is in it is shown by the tests of its group; here none is forgotten.
"""

from __future__ import annotations

import dagster as dg
import pytest

from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.defs.support import Bench, frame, row
from cpp_pipeline_tests.defs.test_definitions import definitions, graph

TRIED_ELSEWHERE = {
    "train_problems": "asks the sandbox; test_problems",
    "tokenizer": "a folder; test_corpus",
    "pretraining_corpus": "a folder; test_corpus",
}


def joined() -> dict[str, dg.AssetsDefinition]:
    """Assets that are made of partitioned tables and are none themselves, by the name of their function."""
    found = {}
    for asset in definitions().assets or ():
        if isinstance(asset, dg.AssetsDefinition) and asset.partitions_def is None:
            name = asset.op.name
            if any(i in TABLES and TABLES[i].partitioned for i in graph()[name]):
                found[name] = asset
    return found


def test_those_that_are_tried_elsewhere_are_joined() -> None:
    assert TRIED_ELSEWHERE.keys() <= joined().keys()


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")], ids=["no dump", "one dump", "two dumps"])
@pytest.mark.parametrize("name", sorted(joined().keys() - TRIED_ELSEWHERE.keys()))
def test_any_number_of_dumps_makes_a_table_that_fits(bench: Bench, name: str, dumps: tuple[str, ...]) -> None:
    inputs = {i for i in graph()[name] if i in TABLES}
    partitioned = {i for i in inputs if TABLES[i].partitioned}
    given = {d: {i: frame(i, row(i, n, dump=d)) for i in partitioned} for n, d in enumerate(dumps)}
    asset = joined()[name]
    store = bench.stored(asset, given, {i: frame(i) for i in inputs - partitioned})
    for made in (key.path[-1] for key in asset.keys):
        assert store.provenance(made) is not None, made
        assert TABLES[made].violations(store.scan(made)) == {}, made
