"""All definitions together: complete, described, checked, and wired as committed."""

import json
from functools import cache
from pathlib import Path

import dagster as dg

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import OWNERS
from cpp_pipeline.storage.checks import RECORDED

GRAPH = Path(__file__).with_name("graph.json")


@cache
def definitions() -> dg.Definitions:
    """The code location, loaded as `dg` loads it."""
    from cpp_pipeline.definitions import defs

    return defs()


@cache
def specs() -> dict[str, dg.AssetSpec]:
    """Specs of all assets by name."""
    return {spec.key.to_user_string(): spec for spec in definitions().resolve_all_asset_specs()}


def checks() -> list[dg.AssetCheckSpec]:
    graph = definitions().resolve_asset_graph()
    return [graph.get_check_spec(key) for key in graph.asset_check_keys]


def graph() -> dict[str, list[str]]:
    """Asset -> what it depends on, both sorted."""
    return {n: sorted(d.asset_key.to_user_string() for d in specs()[n].deps) for n in sorted(specs())}


def test_the_definitions_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(definitions())
    assert specs()


def test_the_graph_is_the_committed_one() -> None:
    """Assets and their inputs change on purpose only; renew the file (from the project's root) with

    python -c "from cpp_pipeline_tests.defs import test_definitions as t; t.renew()"
    """
    assert graph() == json.loads(GRAPH.read_text())


def renew() -> None:
    """Write the graph as it is now."""
    GRAPH.write_text(json.dumps(graph(), indent=1) + "\n")


def test_every_asset_is_described() -> None:
    for name, spec in specs().items():
        assert spec.description, name
        assert spec.group_name in OWNERS, name
        assert spec.owners == [OWNERS[str(spec.group_name)]], name
        assert 1 <= len(spec.kinds) <= 3, name
        assert spec.code_version, name
        assert "config" in spec.metadata, name


def test_every_table_is_an_asset_with_columns_and_a_blocking_schema_check() -> None:
    assert set(TABLES) <= set(specs())
    blocking = {c.asset_key.to_user_string() for c in checks() if c.name == "fits_schema" and c.blocking}
    assert blocking == set(TABLES)
    for name, table in TABLES.items():
        schema = specs()[name].metadata["dagster/column_schema"]
        columns = {c.name: c.description for c in getattr(schema, "value", schema).columns}
        assert columns == {c.name: c.description for c in table.columns}


def test_partitions_follow_the_schema() -> None:
    for name, spec in specs().items():
        partitioned = name in TABLES and TABLES[name].partitioned
        assert (spec.partitions_def is not None) == partitioned, name


def test_all_inputs_exist_and_no_joined_table_feeds_a_dump() -> None:
    for name, inputs in graph().items():
        assert set(inputs) <= set(specs()), name
        if specs()[name].partitions_def is not None:
            joined = {i for i in inputs if specs()[i].partitions_def is None}
            # Canaries come before any dump; another joined input would remake every dump when one is added.
            assert joined <= {"sandbox_canaries"}, name


def test_whatever_asks_the_sandbox_waits_for_the_canaries() -> None:
    needing = {
        key.to_user_string()
        for asset in definitions().resolve_asset_graph().assets_defs
        for key in asset.keys
        if "sandbox" in asset.required_resource_keys and not isinstance(asset, dg.AssetChecksDefinition)
    }
    needing -= {"sandbox_canaries"}
    assert needing
    assert {name for name in needing if "sandbox_canaries" not in graph()[name]} == set()


def test_only_evaluation_decontamination_and_tasks_read_held_out_problems() -> None:
    readers = {name for name, inputs in graph().items() if "eval_problems" in inputs}
    assert {n for n in readers if not n.endswith("_eval")} == {"decontamination_report", "agent_problems"}


def test_all_blocking_checks_are_there_and_targets_only_warn() -> None:
    names = {(c.asset_key.to_user_string(), c.name): c.blocking for c in checks()}
    warning = {("model_report", "targets"), ("duplicate_pairs", "no_dump_failed")}
    assert {key for key, blocking in names.items() if not blocking} == warning
    meaning = {key for key in names if key[1] not in ("fits_schema", "training_is_sound")} - warning
    assert meaning == {
        ("sandbox_canaries", "sandbox_is_right"),
        ("preference_pairs", "chosen_beats_rejected"),
        ("pass_k_sft", "all_solutions_pass"),
        ("docstring_pairs", "function_contains_its_body"),
        ("diff_sft", "repair_changes_something"),
        ("duplicate_pairs", "what_is_kept_stays"),
        ("train_problems", "no_held_out_problem"),
        ("gspo_prompts", "no_held_out_problem"),
        ("pass_k_sft", "no_held_out_problem"),
        ("decontamination_report", "few_rows_near_held_out"),
        ("pretraining_corpus", "mix_is_40_40_20"),
    }


def test_every_check_leaves_word_of_what_it_let_pass() -> None:
    assert checks() and all(RECORDED in check.metadata for check in checks())


def test_every_trained_checkpoint_is_checked() -> None:
    trained = {name for name, spec in specs().items() if spec.group_name == "models"}
    assert {c.asset_key.to_user_string() for c in checks() if c.name == "training_is_sound"} == trained
