"""The executor as a setting: what definitions load with, and what each asset's step is given."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cpp_pipeline.launch.k8s.executor import step_config
from cpp_pipeline.launch.k8s.shapes import SHAPES
from cpp_pipeline.launch.steps import StepOptions, executor, not_tried_again, step_options
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.checks import asset_check
from cpp_pipeline_tests.cluster.fixtures import IMAGE

PROJECT = Path(__file__).resolve().parents[2]
LOADED = """
import json, sys
from cpp_pipeline.definitions import defs
found = defs()
job = found.resolve_implicit_global_asset_job_def()
ops = {node.name: node for node in job.nodes}
print(json.dumps({
    "executor": found.executor.name,
    "tags": {n: json.loads(dict(node.definition.tags).get("dagster-k8s/config", "{}")) for n, node in ops.items()},
    "retries": sorted({node.definition.retry_policy.max_retries if node.definition.retry_policy else 0
                       for node in ops.values()}),
    "checks": sorted(f"{key.asset_key.path[-1]}_{key.name}" for key in found.resolve_asset_graph().asset_check_keys),
    "launching": sorted(node.name for node in ops.values() if "launcher" in node.definition.required_resource_keys),
}))
"""


def loaded(**env: str) -> dict[str, Any]:
    """What the project's definitions look like under settings."""
    given = {**os.environ, **{f"CPP_PIPELINE_{k.upper()}": v for k, v in env.items()}}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=given, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_steps_of_a_cluster_have_machines_of_their_own() -> None:
    shape, watch = "cpu+spot; source_files: cpu-large", "cpu+cpu=250m+memory=1Gi; tokenizer_*: cpu+cpu=1"
    given = {"executor": "k8s", "k8s_image": IMAGE, "step_shape": shape, "watch_shape": watch, "step_retries": "2"}
    facts = loaded(**given, launcher="k8s", root="gs://bucket/prefix")
    tags, checks, launching = facts["tags"], facts["checks"], facts["launching"]
    assert (facts["executor"], facts["retries"]) == ("k8s", [2, 10])
    assert len(checks) > 50 and len(launching) > 10 and tags.keys() >= {*checks, *launching}
    cpus = {name: tag["container_config"]["resources"]["requests"]["cpu"] for name, tag in tags.items()}
    selected = {name: tag["pod_spec_config"]["nodeSelector"] for name, tag in tags.items()}
    small = {name for name, cpu in cpus.items() if cpu == "250m"}
    assert small | {"tokenizer_fits_schema", "tokenizer_text_comes_back"} >= {*checks, *launching} >= small
    assert cpus["tokenizer_text_comes_back"] == "1"
    assert cpus["clean_files"] == SHAPES["cpu"].cpu and cpus["source_files"] == SHAPES["cpu-large"].cpu
    assert {name for name, labels in selected.items() if labels} == tags.keys() - {*checks, *launching, "source_files"}


def test_a_step_whose_commands_are_processes_of_its_own_pod_has_the_machine_of_the_others() -> None:
    def machine(launcher: str) -> str:
        settings = Settings(executor="k8s", launcher=launcher, k8s_image=IMAGE, watch_shape="cpu+cpu=250m+memory=1Gi")
        tags = step_options("base_checkpoint", settings, resources=frozenset({"launcher"})).op_tags
        assert tags is not None
        return str(tags["dagster-k8s/config"]["container_config"]["resources"]["requests"]["cpu"])

    assert (machine("local"), machine("k8s")) == (SHAPES["cpu"].cpu, "250m")


def test_what_every_step_gets() -> None:
    settings = Settings(k8s_image=IMAGE, k8s_namespace="ns", max_concurrent=3, k8s_config="/kubeconfig")
    config = step_config(settings)
    assert (config["job_image"], config["job_namespace"]) == (IMAGE, "ns")
    assert (config["load_incluster_config"], config["kubeconfig_file"]) == (False, "/kubeconfig")
    job = config["step_k8s_config"]["job_spec_config"]
    assert (job["backoffLimit"], job["podReplacementPolicy"]) == (0, "Failed")
    plain = step_config(Settings(k8s_image=IMAGE, step_shape="cpu+spot"))
    assert "load_incluster_config" not in plain
    assert plain["step_k8s_config"]["pod_spec_config"]["nodeSelector"] == {"cloud.google.com/gke-spot": "true"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(executor="celery"), "CPP_PIPELINE_EXECUTOR='celery': use in_process, multiprocess or k8s"),
        (Settings(max_concurrent=-1), "CPP_PIPELINE_MAX_CONCURRENT=-1"),
        (Settings(executor="k8s"), "CPP_PIPELINE_K8S_IMAGE=''"),
        (Settings(executor="k8s", k8s_image="trainer:latest"), "CPP_PIPELINE_K8S_IMAGE='trainer:latest'"),
        (Settings(executor="k8s", k8s_image=IMAGE, step_shape="c3"), "CPP_PIPELINE_STEP_SHAPE: 'c3' is no shape"),
        (Settings(executor="k8s", k8s_image=IMAGE, step_shape="a: cpu"), "CPP_PIPELINE_STEP_SHAPE='a: cpu'"),
        (Settings(executor="k8s", k8s_image=IMAGE, watch_shape="c3"), "CPP_PIPELINE_WATCH_SHAPE: 'c3' is no shape"),
    ],
)
def test_a_bad_setting_is_named(settings: Settings, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        executor(settings)
        step_options("a_check", settings, is_check=True)
    assert words in str(caught.value)


def test_without_a_setting_a_run_works_on_its_steps_itself() -> None:
    assert executor(Settings()).name == "in_process"
    assert executor(Settings(executor="multiprocess", max_concurrent=3)).name == "multiprocess"


def test_retries_are_those_of_the_settings() -> None:
    assert step_options("x", Settings()) == (None, None, None)
    policy = step_options("x", Settings(step_retries=2)).retry_policy
    assert policy is not None and policy.max_retries == 2


@pytest.mark.parametrize(("error", "attempts"), [(ValueError("x.jsonl: line 3: no title"), 1), (OSError("gone"), 2)])
def test_bad_input_is_not_tried_again(error: Exception, attempts: int) -> None:
    step, made = StepOptions(dg.RetryPolicy(1), None), []

    @dg.asset(retry_policy=step.retry_policy)
    def table() -> None:
        with not_tried_again(step):
            made.append(1)
            raise error

    done = dg.materialize([table], raise_on_error=False)
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert len(made) == attempts
    assert str(error) in str(failed.step_failure_data.error)


@pytest.mark.parametrize(("error", "attempts"), [(ValueError("no such column"), 1), (OSError("gone"), 3)])
def test_checks_are_tried_again_as_assets_are(
    error: Exception, attempts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPP_PIPELINE_STEP_RETRIES", "2")
    monkeypatch.setattr("cpp_pipeline.launch.steps._RETRY_SECONDS", 0.01)
    asked = []

    @dg.asset
    def table() -> None: ...

    @asset_check(asset="table", blocking=True)
    def is_right() -> dg.AssetCheckResult:
        asked.append(1)
        raise error

    storage = StoreResource(root=str(tmp_path))
    done = dg.materialize([table, is_right], resources={"storage": storage}, raise_on_error=False)
    assert not done.success and len(asked) == attempts


def test_without_retries_an_error_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="line 3"), not_tried_again(StepOptions(None, None)):
        raise ValueError("line 3")


WATCHING = Settings(executor="k8s", launcher="k8s", step_retries=2)


def test_a_step_that_watches_a_job_may_lose_its_pod_more_often() -> None:
    launching = frozenset({"launcher"})
    step = step_options("base_checkpoint", WATCHING, resources=launching)
    assert step.retry_policy is not None and step.retry_policy.max_retries == 10
    never = step_options("base_checkpoint", replace(WATCHING, step_retries=0), resources=launching)
    assert never.retry_policy is None and never.job_retries is None
    for other in (step_options("source_files", WATCHING), step_options("x_y", WATCHING, is_check=True)):
        assert other.retry_policy is not None and other.retry_policy.max_retries == 2


@pytest.mark.parametrize(("error", "attempts"), [(dg.Failure("exit code 1"), 3), (OSError("gone"), 11)])
def test_a_job_that_fails_is_tried_as_often_as_the_setting_says(error: Exception, attempts: int) -> None:
    step, made = step_options("model", WATCHING, resources=frozenset({"launcher"})), []

    @dg.asset(retry_policy=step.retry_policy)
    def model() -> None:
        with not_tried_again(step):
            made.append(1)
            raise error

    assert not dg.materialize([model], raise_on_error=False).success
    assert len(made) == attempts
