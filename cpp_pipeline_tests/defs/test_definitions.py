"""All definitions together: complete, described, checked, and wired as committed."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.selection import select
from cpp_pipeline.storage.assets import OWNERS
from cpp_pipeline.storage.checks import RECORDED

GRAPH = Path(__file__).with_name("graph.json")


Assets = dict[str, list[str]]


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


@cache
def check_definitions() -> dict[tuple[str, str], dg.AssetChecksDefinition]:
    """Every check as it is defined, by asset and name."""
    found = (c for c in definitions().asset_checks or () if isinstance(c, dg.AssetChecksDefinition))
    return {(s.asset_key.to_user_string(), s.name): c for c in found for s in c.check_specs}


def check_of(asset: str, name: str) -> dg.AssetChecksDefinition:
    """One check as it is defined."""
    return check_definitions()[asset, name]


def blocking_checks(asset: str) -> list[dg.AssetChecksDefinition]:
    """The checks of one asset that stop what comes after it."""
    found = [c for (of, _), c in check_definitions().items() if of == asset]
    return [c for c in found if all(s.blocking for s in c.check_specs)]


def graph() -> Assets:
    """Asset -> what it depends on, both sorted."""
    return {n: sorted(d.asset_key.to_user_string() for d in specs()[n].deps) for n in sorted(specs())}


def automatic() -> dict[str, dict[str, dict[str, Any]]]:
    """Jobs with their assets; schedules and sensors with what they start and whether they do from the start."""
    repository = definitions().get_repository_def()
    target = "data_follows_dumps"
    selection = next(s.asset_selection for s in repository.sensor_defs if s.name == target)
    assert selection is not None
    chosen = selection.resolve(definitions().resolve_asset_graph())
    return {
        "jobs": {
            job.name: {"assets": sorted(key.path[-1] for key in job.asset_layer.selected_asset_keys)}
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            s.name: {"job": s.job_name, "cron": s.cron_schedule, "default": s.default_status.value}
            for s in repository.schedule_defs
        },
        "sensors": {
            s.name: {
                "jobs": [job.name for job in s.jobs] if s.has_jobs else [],
                "assets": sorted(key.path[-1] for key in chosen) if s.name == target else [],
                "seconds": s.minimum_interval_seconds,
                "default": s.default_status.value,
            }
            for s in repository.sensor_defs
        },
    }


def test_the_definitions_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(definitions())
    assert specs()


def test_the_graph_is_the_committed_one() -> None:
    """Assets, their inputs, jobs and what runs by itself change on purpose only; renew the file (from the project's
    root) with

    python -c "from cpp_pipeline_tests.defs import test_definitions as t; t.renew()"
    """
    assert {"assets": graph(), **automatic()} == json.loads(GRAPH.read_text())


def renew() -> None:
    """Write the graph as it is now."""
    GRAPH.write_text(json.dumps({"assets": graph(), **automatic()}, indent=1) + "\n")


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
    warning |= {(name, "read_to_the_end") for name in ("source_files_quarantine", "commits_quarantine")}
    assert {key for key, blocking in names.items() if not blocking} == warning
    meaning: dict[str, set[str]] = {}
    for asset, name in names:
        if name not in ("fits_schema", "training_is_sound") and (asset, name) not in warning:
            meaning.setdefault(asset, set()).add(name)
    not_near = {"no_held_out_problem", "nothing_near_held_out"}
    judged = {"verdict_agrees_with_tests", "problem_is_for_training"}
    assert meaning == {
        "sandbox_canaries": {"sandbox_is_right"},
        "clean_files": {"may_be_learned_from"},
        "docstring_pairs": {"function_contains_its_body"},
        "diff_sft": {"repair_changes_something"},
        "cmake_sft": {"nothing_is_blank"},
        "cmake_problems": {"sides_are_apart"},
        "combined_cmake": {"has_rows", "nothing_is_blank", "no_held_out_request", "no_held_out_answer"},
        "duplicate_pairs": {"what_is_kept_stays"},
        "eval_problems": {"has_rows"},
        "train_problems": {"has_rows", "no_held_out_problem", "near_duplicates_are_out"},
        "repair_rows": {"mutant_fails", "problem_is_for_training"},
        "near_misses": {"chosen_beats_rejected", "problem_is_for_training"},
        "decontamination_report": {"few_rows_near_held_out"},
        "tokenizer": {"text_comes_back"},
        "pretraining_corpus": {"mix_is_40_40_20", "fim_comes_back_as_source"},
        "pass_k_solutions": judged,
        "sft_pass_k_solutions": judged,
        "docstring_sft": {
            "nothing_is_blank",
            "no_held_out_solution",
            "nothing_near_held_out",
            "near_duplicates_are_out",
        },
        "pass_k_sft": {"all_solutions_pass", *not_near},
        "combined_sft": {"has_rows", "nothing_is_blank", "no_held_out_solution", *not_near},
        "preference_pairs": {"chosen_beats_rejected", *not_near},
        "gspo_prompts": {"has_rows", "answers_are_told_apart", *not_near},
        "router_sft": {"has_rows", "phrasings_are_apart"},
    }


def upstream(name: str) -> set[str]:
    """Everything before an asset."""
    return set(graph()[name]).union(*(upstream(parent) for parent in graph()[name]))


def test_a_selection_with_all_before_holds_what_its_checks_read() -> None:
    assert "eval_problems" not in upstream("train_problems")
    assert {"eval_problems", "docstring_pairs"} <= select(definitions(), "+train_problems")
    assert select(definitions(), "train_problems") == {"train_problems", "train_problems_quarantine"}
    assert select(definitions(), "+repo_dump") == {"repo_dump"}


def test_what_a_check_reads_is_made_before_its_asset() -> None:
    """Or the check would judge an asset by tables of another day."""
    read = {
        (check.asset_key.to_user_string(), dep.asset_key.to_user_string())
        for check in checks()
        for dep in check.additional_deps
    }
    assert len(read) > 10
    # Neither is made from the other.
    assert {(asset, other) for asset, other in read if other not in upstream(asset)} == {
        ("train_problems", "eval_problems")
    }


def test_every_check_leaves_word_of_what_it_let_pass() -> None:
    assert checks() and all(RECORDED in check.metadata for check in checks())


def test_every_trained_checkpoint_is_checked() -> None:
    trained = {name for name, spec in specs().items() if spec.group_name == "models"}
    assert {c.asset_key.to_user_string() for c in checks() if c.name == "training_is_sound"} == trained
