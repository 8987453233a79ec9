"""Values of Dagster's chart: the run and step pods that they lead to, made by Dagster's own code.

The chart itself needs Helm, which is in no package registry; its schema is checked where CHART_SCHEMA names the file.
"""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from cpp_pipeline.launch.k8s.check import refuse_unset
from cpp_pipeline.launch.k8s.executor import step_config
from cpp_pipeline.launch.steps import step_options
from cpp_pipeline.settings import Settings
from cpp_pipeline_tests.cluster import podsecurity, validation
from cpp_pipeline_tests.k8s.rendering import MANIFESTS, PROJECT, Object, one, overlay_objects

IMAGE = "europe-docker.pkg.dev/p/r/cpp-pipeline@sha256:" + "a" * 64
HOME = "/opt/dagster/dagster_home"
VALUES: Any = yaml.safe_load((MANIFESTS / "dagster" / "values.yaml").read_text())


def settings() -> Settings:
    """What the code location reads, from the overlay's ConfigMap."""
    data = one(overlay_objects("gke-spot"), "ConfigMap", "cpp-pipeline")["data"]
    return Settings.from_env({**data, "CPP_PIPELINE_K8S_IMAGE": IMAGE})


def launcher_context() -> K8sContainerContext:
    """What the chart's run launcher gives every pod, runs and steps."""
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    raw = given["runK8sConfig"]
    return K8sContainerContext(
        image_pull_policy=given["imagePullPolicy"],
        volumes=given["volumes"],
        volume_mounts=given["volumeMounts"],
        resources=given["resources"],
        security_context=given["securityContext"],
        run_k8s_config=UserDefinedDagsterK8sConfig(
            container_config=raw["containerConfig"],
            pod_template_spec_metadata=raw["podTemplateSpecMetadata"],
            pod_spec_config=raw["podSpecConfig"],
            job_spec_config=raw["jobSpecConfig"],
        ),
    )


def code_context() -> K8sContainerContext:
    """What the chart adds for the code location (`includeConfigInLaunchedRuns`)."""
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert code["includeConfigInLaunchedRuns"]["enabled"] is True
    given = {
        "image_pull_policy": code["image"]["pullPolicy"],
        "env_config_maps": ["dagster-cpp-pipeline-user-env", *(m["name"] for m in code["envConfigMaps"])],
        "env": code["env"],
        "volumes": code["volumes"],
        "volume_mounts": code["volumeMounts"],
        "service_account_name": VALUES["dagster-user-deployments"]["serviceAccount"]["name"],
        "namespace": "cpp-pipeline",
        "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
    }
    return K8sContainerContext.create_from_config({"k8s": given})


def job(context: K8sContainerContext, component: str) -> Object:
    """The Job that Dagster makes."""
    config = DagsterK8sJobConfig(
        job_image=IMAGE,
        dagster_home=HOME,
        instance_config_map="dagster-instance",
        postgres_password_secret=VALUES["global"]["postgresqlSecretName"],
    )
    made = construct_dagster_k8s_job(
        config,
        ["dagster", "api", component],
        "name",
        component=component,
        user_defined_k8s_config=context.run_k8s_config,
        labels={"dagster/job": "x"},
    )
    return dict(ApiClient().sanitize_for_serialization(made))


def run_job() -> Object:
    """A run's own pod."""
    return job(launcher_context().merge(code_context()), "run_worker")


def step_job(asset: str, **sort: Any) -> Object:
    """The pod of the step of an asset, or of another `sort`, as the executor merges the parts."""
    chosen = settings()
    tags = step_options(asset, chosen, **sort).op_tags
    assert tags is not None
    context = launcher_context().merge(code_context())
    for part in (step_config(chosen)["step_k8s_config"], tags["dagster-k8s/config"]):
        context = context.merge(K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(part)))
    return job(context, "step_worker")


CHECK = {"is_check": True}
LAUNCHING = {"resources": frozenset({"launcher"})}


@pytest.mark.parametrize(
    "made",
    [run_job, lambda: step_job("source_files"), lambda: step_job("base_checkpoint", **LAUNCHING)],
    ids=["run", "step", "step that watches"],
)
def test_runs_and_steps_fit_the_schemas_the_rules_and_restricted(made: Any) -> None:
    manifest = made()
    for version in ("1.33", "1.35", "1.37"):
        kubernetes_validate.validate(manifest, version, strict=True)
    validation.check("jobs", manifest)
    spec = manifest["spec"]["template"]["spec"]
    assert list(podsecurity.violations(spec)) == []
    assert len({v["name"] for v in spec["volumes"]}) == len(spec["volumes"])
    (container,) = spec["containers"]
    assert len({m["mountPath"] for m in container["volumeMounts"]}) == len(container["volumeMounts"])
    names = [e["name"] for e in container["env"]]
    assert len(set(names)) == len(names)
    assert container["image"] == IMAGE and manifest["spec"]["backoffLimit"] == 0
    assert {"configMapRef": {"name": "cpp-pipeline"}} in container["envFrom"]
    token = next(e for e in container["env"] if e["name"] == "SANDBOX_TOKEN")
    assert token["valueFrom"]["secretKeyRef"] == {"name": "sandbox", "key": "token"}
    accounts = overlay_objects("gke-spot")
    assert spec["serviceAccountName"] == "runs" and one(accounts, "ServiceAccount", "runs", "cpp-pipeline")


@pytest.mark.parametrize(
    "made", [run_job, lambda: step_job("base_checkpoint", **LAUNCHING)], ids=["run", "step that watches"]
)
def test_what_waits_for_days_is_not_moved_by_the_autoscaler(made: Any) -> None:
    annotations = made()["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


def test_steps_of_a_run_make_jobs_of_the_runs_image() -> None:
    """Whatever the ConfigMap names by then: a variable of its own goes before those of `envFrom`."""
    (container,) = step_job("base_checkpoint", **LAUNCHING)["spec"]["template"]["spec"]["containers"]
    assert {"name": "CPP_PIPELINE_K8S_IMAGE", "value": IMAGE} in container["env"]


def test_a_step_has_the_machine_that_the_settings_name() -> None:
    spec = step_job("source_files")["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"cloud.google.com/gke-spot": "true"}
    assert spec["containers"][0]["resources"]["requests"]["cpu"] == "3500m"
    assert "nodeSelector" not in run_job()["spec"]["template"]["spec"]


@pytest.mark.parametrize("sort", [CHECK, LAUNCHING], ids=["check", "watches a Job"])
def test_what_does_little_itself_is_small_and_stays_off_spot(sort: Object) -> None:
    """The executor's own settings are for Spot, and Dagster merges a step's machine into them."""
    spec = step_job("base_checkpoint", **sort)["spec"]["template"]["spec"]
    assert not spec.get("nodeSelector") and not spec.get("tolerations")
    (container,) = spec["containers"]
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "4Gi", "ephemeral-storage": "20Gi"}
    assert container["resources"]["limits"] == {"memory": "4Gi", "ephemeral-storage": "20Gi"}
    assert {"scratch", "home"} <= {mount["name"] for mount in container["volumeMounts"]}


def steps_of_a_dump() -> int:
    """Steps of one run of the job `data_stages`: its assets, and their checks."""
    from cpp_pipeline.definitions import defs

    return len(defs().resolve_job_def("data_stages").nodes)


def test_the_quota_holds_the_jobs_of_a_backfill_over_50_dumps() -> None:
    """Were none of them gone yet, and a whole training under way besides; steps tried again come on top."""
    from cpp_pipeline.definitions import defs

    steps = steps_of_a_dump()
    assert steps > 20
    training = 2 * len(defs().resolve_job_def("training").nodes)
    quota = one(overlay_objects("gke-spot"), "ResourceQuota", "runs")["spec"]["hard"]
    assert 50 * (steps + 1) + training <= int(quota["count/jobs.batch"])
    chosen, runs = settings(), VALUES["concurrency"]["runs"]["maxConcurrentRuns"]
    assert runs + chosen.max_concurrent <= int(quota["pods"]) / 2  # the others are Dagster's own, and Jobs'


def test_finished_jobs_go_soon_and_not_before_dagster_has_looked() -> None:
    step = step_job("source_files")["spec"]["ttlSecondsAfterFinished"]
    assert 60 < step <= 900  # steps under way are looked at every 20 s, finished ones never
    monitoring = VALUES["dagsterDaemon"]["runMonitoring"]
    start = monitoring["startTimeoutSeconds"] + monitoring["pollIntervalSeconds"]
    assert start < run_job()["spec"]["ttlSecondsAfterFinished"] <= 7200


def test_the_chart_is_of_dagsters_version_and_bounds_what_is_done_at_once() -> None:
    pinned = next(
        d
        for d in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
        if d.startswith("dagster==")
    )
    assert f"--version {pinned.removeprefix('dagster==')} " in (MANIFESTS / "dagster" / "values.yaml").read_text()
    daemon = VALUES["dagsterDaemon"]
    assert daemon["runRetries"] == {"enabled": True, "maxRetries": 2, "retryOnAssetOrOpFailure": False}
    assert daemon["runMonitoring"]["enabled"] and daemon["runCoordinator"]["type"] == "QueuedRunCoordinator"
    assert VALUES["concurrency"]["enabled"]
    assert settings().max_concurrent >= VALUES["concurrency"]["runs"]["maxConcurrentRuns"] > 0
    assert VALUES["computeLogManager"]["type"] == "GCSComputeLogManager"


def test_the_document_names_the_bounds_that_there_are() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text()
    (table,) = re.findall(r"^\| what \| bound .*?\n\n", text, re.MULTILINE | re.DOTALL)
    told = [row.split(" | ")[1] for row in table.strip().splitlines()[2:6]]
    runs, steps = VALUES["concurrency"]["runs"]["maxConcurrentRuns"], settings().max_concurrent
    jobs = one(overlay_objects("gke-spot"), "ResourceQuota", "runs")["spec"]["hard"]["count/jobs.batch"]
    assert told == [str(runs), str(steps), f"{steps} / {runs} = {steps // runs}", f"{int(jobs):,}"]
    assert settings().watch_shape in text


def test_dagsters_own_pods_fit_restricted() -> None:
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    for part in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], code):
        container = {"name": "x", "securityContext": part["securityContext"]}
        spec = {"securityContext": part["podSecurityContext"], "containers": [container], "volumes": part["volumes"]}
        assert list(podsecurity.violations(spec)) == []
        assert part["image"] == VALUES["dagsterWebserver"]["image"]


def test_the_webserver_listens_where_the_document_forwards_to() -> None:
    webserver = VALUES["dagsterWebserver"]
    port = webserver["service"]["port"]
    assert port == webserver["readinessProbe"]["httpGet"]["port"] >= 1024
    assert f"svc/dagster-webserver 3000:{port}" in (PROJECT / "docs" / "operations.md").read_text()


def test_the_waiting_containers_have_an_nslookup_that_ends() -> None:
    """From 1.30 on that of busybox fails when one of the search domains does not know the name."""
    image = VALUES["busybox"]["image"]
    assert re.match(r"1\.28\.\d+@sha256:", image["tag"]) and VALUES["postgresql"]["image"] == image


def test_accounts_whose_pods_write_dagsters_logs_may_read_the_bucket_itself() -> None:
    """`GCSComputeLogManager` asks whether the bucket exists, which `objectUser` does not allow."""
    assert VALUES["computeLogManager"]["type"] == "GCSComputeLogManager"
    text = (PROJECT / "docs" / "operations.md").read_text()
    (granted,) = re.findall(r"for account in ([\w ]+); do\n[^\n]* --role roles/storage\.legacyBucketReader ", text)
    deployments = VALUES["dagster-user-deployments"]
    assert set(granted.split()) == {VALUES["serviceAccount"]["name"], deployments["serviceAccount"]["name"]}


def test_images_that_helm_renders_are_refused_until_they_are_set() -> None:
    image = VALUES["dagsterWebserver"]["image"]
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "x", "image": f"{image['repository']}:{image['tag']}"}]}}
    with pytest.raises(ValueError, match="image"):
        refuse_unset(yaml.safe_dump(pod), "helm")
    pod["spec"]["containers"][0]["image"] = "eu/cpp-pipeline:0.1.0@sha256:" + "a" * 64  # type: ignore[index]
    refuse_unset(yaml.safe_dump(pod), "helm")
    instance = {"kind": "ConfigMap", "data": {"dagster.yaml": "bucket: bucket-is-not-set.invalid\n"}}
    with pytest.raises(ValueError, match=r"dagster\.yaml: bucket-is-not-set"):
        refuse_unset(yaml.safe_dump(instance), "helm")


def test_values_fit_the_charts_schema() -> None:
    schema = os.environ.get("CHART_SCHEMA")
    if not schema:
        pytest.skip("CHART_SCHEMA names no values.schema.json of the chart dagster 1.13.27")
    found = json.loads(Path(schema).read_text())
    found.pop("required", None)  # the chart's own values.yaml gives the rest
    wrong = jsonschema.validators.validator_for(found)(found).iter_errors(VALUES)
    assert [f"{error.json_path}: {error.message}" for error in wrong] == []
