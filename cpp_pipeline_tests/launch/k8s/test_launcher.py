"""The same asset on this machine and in a cluster, and what a run finds that others have left."""

import json
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cpp_pipeline.launch import local
from cpp_pipeline.launch.choose import launcher
from cpp_pipeline.launch.k8s.api import Cluster as Api
from cpp_pipeline.launch.k8s.cleanup import delete_jobs_of, jobs_of_dead_runs
from cpp_pipeline.launch.k8s.launcher import KubernetesLauncher, job_name
from cpp_pipeline.launch.k8s.manifest import NAME_LENGTH, OWN, JobRequest
from cpp_pipeline.launch.k8s.refusals import refuse_local_root, refuse_loopback
from cpp_pipeline.launch.local import Join, Launcher
from cpp_pipeline.launch.warm import Warm
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.folder_assets import folder_asset
from cpp_pipeline.storage.scratch import scratch_file
from cpp_pipeline.storage.store import Provenance, Store
from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.manifests import PATIENT, job, pod_spec
from cpp_pipeline_tests.cluster.waiting import PATIENCE_SECONDS, evict, pods, printing, wait_for
from cpp_pipeline_tests.launch.k8s import worker

WORKER = worker.__name__
IN_EVERY_STORAGE = pytest.mark.parametrize("shared_root", ["local", "gcs"], indirect=True)
IN_A_BUCKET = pytest.mark.parametrize("shared_root", ["gcs"], indirect=True)
PACE = {"seconds": 0.5} if os.environ.get("KUBECONFIG") else {}
"""Of steps that are disturbed: through a real cluster's API that takes its time."""
SHAPE = "cpu+cpu=100m+memory=512Mi+disk=1Gi+shm=16Mi"


class Sending(KubernetesLauncher):
    """Sends the worker's text along: images hold the project and none of its tests."""

    def request(self, *given: Any, **named: Any) -> JobRequest:
        made = super().request(*given, **named)
        at = list(made.command).index(WORKER)
        text = Path(worker.__file__).read_text()
        return replace(made, command=[*made.command[: at - 1], "-c", text, *made.command[at + 1 :]])


def trained(join: Join | None = None, **flags: Any) -> dg.AssetsDefinition:
    """A checkpoint that is made by the worker from a model in storage and a file of this machine."""

    @folder_asset(
        "sft_checkpoint",
        kind="checkpoints",
        group="models",
        kinds={"pytorch"},
        deps=["base_checkpoint"],
        code=["training/curves.py"],
        config=flags,
        description="A test.",
        shown=lambda *_: {},
        resources=frozenset({"launcher"}),
    )
    def asset(context: dg.AssetExecutionContext, work: Path) -> None:
        data = scratch_file(".txt")
        data.write_text("data")
        found, store = context.resources.launcher, context.resources.storage.store
        model = found.folder(store, "checkpoints", "base_checkpoint")
        found.run(context, WORKER, {"data": data, "model": model, **flags}, work, join)

    return asset


@dataclass
class Setup:
    """A root with a base model, and the launcher of a cluster."""

    root: str
    launcher: KubernetesLauncher

    def materialize(
        self, asset: dg.AssetsDefinition, used: Any = None, instance: dg.DagsterInstance | None = None
    ) -> dg.ExecuteInProcessResult:
        resources = {"launcher": used or self.launcher, "storage": StoreResource(root=self.root)}
        return dg.materialize([asset], resources=resources, raise_on_error=False, instance=instance)


@pytest.fixture
def setup(cluster: Cluster, kubeconfig: str, shared_root: str) -> Setup:
    store = Store(shared_root)
    base = store.work("base_checkpoint", "0" * 32)
    (base / "weights").write_text("weights")
    (base / "result.json").write_text(json.dumps({"weights_sha256": "0"}))
    store.publish("checkpoints", base, Provenance("base_checkpoint", None, "", "", "", "0"))
    return Setup(
        shared_root,
        Sending(
            root=shared_root,
            namespace=cluster.namespace,
            image=cluster.image,
            shape=SHAPE,
            config=kubeconfig,
            tick_seconds=1.0,
            sync_seconds=0.2,
            grace_seconds=5,
        ),
    )


def fields(found: KubernetesLauncher) -> dict[str, Any]:
    return {k: getattr(found, k) for k in found.model_fields_set}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    return "".join(e.message + str(e.event_specific_data) for e in result.get_step_failure_events())


def in_background(results: list[Any], work: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread


@IN_EVERY_STORAGE
def test_the_same_asset_here_and_there(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_WARM", Warm())
    there = setup.materialize(trained())
    assert there.success, failure_of(there)
    store = Store(setup.root)
    remote = store.result("checkpoints", "sft_checkpoint")
    log = (store.local_folder("checkpoints", "sft_checkpoint") / "metrics.jsonl").read_text()
    here = setup.materialize(trained(), used=Launcher())
    assert here.success, failure_of(here)
    assert store.result("checkpoints", "sft_checkpoint") == remote
    assert (store.local_folder("checkpoints", "sft_checkpoint") / "metrics.jsonl").read_text() == log
    versions = {
        r.asset_materializations_for_node("sft_checkpoint")[0].tags["dagster/data_version"] for r in (here, there)
    }
    assert len(versions) == 1
    assert store.place("jobs").names() == []  # what is published is kept once


@IN_A_BUCKET
def test_work_in_parts_is_joined_and_an_evicted_part_goes_on(setup: Setup, cluster: Cluster) -> None:
    def join(parts: Sequence[Path], output: Path) -> None:
        text = "".join((part / "metrics.jsonl").read_text() for part in parts)
        (output / "metrics.jsonl").write_text(text)
        (output / "result.json").write_text(json.dumps({"weights_sha256": "joined"}))

    results: list[dg.ExecuteInProcessResult] = []
    split = Sending(**{**fields(setup.launcher), "parts": 3})
    thread = in_background(results, lambda: setup.materialize(trained(join, steps=20, **PACE), used=split))
    name = wait_for(lambda: [j.metadata.name for j in cluster.batch.list_namespaced_job(cluster.namespace).items])[0]
    evict(cluster, printing(cluster, name, "step 5").metadata.name)
    thread.join(PATIENCE_SECONDS)
    assert results[0].success, failure_of(results[0])
    lines = (Store(setup.root).local_folder("checkpoints", "sft_checkpoint") / "metrics.jsonl").read_text().splitlines()
    found = [(row["part"], row["step"]) for row in map(json.loads, lines)]
    assert found == [(f"{part}/3", step) for part in range(3) for step in range(20)]


def test_a_failed_command_is_a_failed_step_with_its_reason(setup: Setup, cluster: Cluster) -> None:
    result = setup.materialize(trained(broken=True))
    assert not result.success
    assert "BackoffLimitExceeded" in failure_of(result) and "the loss is not finite" in failure_of(result)
    assert Store(setup.root).result("checkpoints", "sft_checkpoint") is None


@IN_A_BUCKET
def test_an_evicted_run_goes_on_where_it_was(setup: Setup, cluster: Cluster) -> None:
    results: list[dg.ExecuteInProcessResult] = []
    asset = trained(steps=40, **PACE)
    thread = in_background(results, lambda: setup.materialize(asset))
    label = "dagster/op=sft_checkpoint"
    name = wait_for(
        lambda: [
            j.metadata.name for j in cluster.batch.list_namespaced_job(cluster.namespace, label_selector=label).items
        ]
    )[0]
    pod = printing(cluster, name, "step 10")
    evict(cluster, pod.metadata.name)
    second = printing(cluster, name, "from step")
    assert second.metadata.name != pod.metadata.name
    thread.join(PATIENCE_SECONDS)
    assert results[0].success, failure_of(results[0])
    lines = (Store(setup.root).local_folder("checkpoints", "sft_checkpoint") / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(40))


@IN_EVERY_STORAGE
def test_a_committed_result_of_a_killed_run_is_used(setup: Setup, cluster: Cluster) -> None:
    """The run died after the Job had committed and before the asset was published."""
    asset = trained()
    kept: list[str] = []

    class Dying(Sending):
        def run(self, context: Any, module: str, arguments: Any, output: Path, join: Any = None) -> Any:
            super().run(context, module, arguments, output, join)
            for file in output.iterdir():
                file.unlink()
            kept.append(str(output))
            raise RuntimeError("killed")

    dying = Dying(**fields(setup.launcher))
    assert not setup.materialize(asset, used=dying).success
    before = len(cluster.batch.list_namespaced_job(cluster.namespace).items)
    again = setup.materialize(asset)
    assert again.success, failure_of(again)
    assert len(cluster.batch.list_namespaced_job(cluster.namespace).items) == before and kept


def left_behind(setup: Setup, cluster: Cluster, run_id: str) -> str:
    """A Job at the same work as the asset, of another run."""
    from cpp_pipeline.launch.k8s.launcher import RUN_LABEL, WORK_LABEL

    labels: list[str] = []

    class Looking(Sending):
        def _end_others(self, context: Any, api: Any, request: Any) -> None:
            labels.append(request.labels[WORK_LABEL])
            raise dg.Failure("seen enough")

    looking = Looking(**fields(setup.launcher))
    setup.materialize(trained(), used=looking)
    body = job("left", pod_spec(cluster.image, PATIENT))
    body["metadata"]["labels"] = {RUN_LABEL: run_id, WORK_LABEL: labels[0]}
    cluster.batch.create_namespaced_job(cluster.namespace, body)
    printing(cluster, "left", "ready")
    return "left"


def test_a_job_of_a_run_that_ended_is_ended_first(setup: Setup, cluster: Cluster) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dead = setup.materialize(trained(broken=True), instance=instance).run_id
        name = left_behind(setup, cluster, dead)
        result = setup.materialize(trained(), instance=instance)
    assert result.success, failure_of(result)
    assert pods(cluster, name) == []


def test_a_job_of_a_living_run_is_left_alone(setup: Setup, cluster: Cluster) -> None:
    name = left_behind(setup, cluster, "another-run")
    result = setup.materialize(trained())
    assert not result.success and "is at the same work" in failure_of(result)
    assert [p.status.phase for p in pods(cluster, name)] == ["Running"]


def test_a_dead_run_s_jobs_are_deleted_by_label(setup: Setup, cluster: Cluster, api: Api, kubeconfig: str) -> None:
    dagsters = {"app.kubernetes.io/name": "dagster"}
    for name, run_id, kind in (("of-dead", "dead", OWN), ("of-alive", "alive", OWN), ("a-step", "dead", dagsters)):
        body = job(name, pod_spec(cluster.image, PATIENT))
        body["metadata"]["labels"] = {**kind, "dagster/run-id": run_id}
        cluster.batch.create_namespaced_job(cluster.namespace, body)
        printing(cluster, name, "ready")
    assert delete_jobs_of(api, "dead") == ["of-dead"]
    wait_for(lambda: pods(cluster, "of-dead") == [])
    assert delete_jobs_of(api, "dead") == []
    assert len(pods(cluster, "of-alive")) == len(pods(cluster, "a-step")) == 1


def test_the_sensor_deletes_the_jobs_of_the_run_that_it_is_told_of(cluster: Cluster, kubeconfig: str) -> None:
    @dg.op
    def fail() -> None:
        raise RuntimeError("died")

    @dg.job
    def dying() -> None:
        fail()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dying.execute_in_process(instance=instance, raise_on_error=False)
        body = job("orphan", pod_spec(cluster.image, PATIENT))
        body["metadata"]["labels"] = {**OWN, "dagster/run-id": result.run_id}
        cluster.batch.create_namespaced_job(cluster.namespace, body)
        printing(cluster, "orphan", "ready")
        sensor = jobs_of_dead_runs(dg.DagsterRunStatus.FAILURE, cluster.namespace, kubeconfig)
        context = dg.build_run_status_sensor_context(
            sensor.name,
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        )
        sensor(context)
    wait_for(lambda: pods(cluster, "orphan") == [])
    jobs = cluster.batch.list_namespaced_job(cluster.namespace).items
    assert "orphan" not in {job.metadata.name for job in jobs if not job.metadata.deletion_timestamp}


def test_more_gpus_than_a_module_uses_are_refused(setup: Setup) -> None:
    for shape in ("h100x8", "cpu+nodes=2"):
        wide = KubernetesLauncher(**{**fields(setup.launcher), "shape": shape})
        result = setup.materialize(trained(), used=wide)
        assert "is one process" in failure_of(result) and "CPP_PIPELINE_K8S_SHAPE" in failure_of(result)


def test_what_pods_cannot_reach_is_refused_with_the_setting() -> None:
    far, near = "https://34.1.2.3", "http://127.0.0.1:6443"
    with pytest.raises(dg.Failure, match="SANDBOX_URL"):
        refuse_loopback({"sandbox-url": "http://127.0.0.1:8080"}, far)
    with pytest.raises(dg.Failure, match="CPP_PIPELINE_ROOT"):
        refuse_local_root("data", far)
    refuse_loopback({"sandbox-url": "http://sandbox.svc:8080"}, far)
    refuse_loopback({"sandbox-url": "http://localhost:8080"}, near)
    refuse_local_root("gs://bucket/prefix", far)
    refuse_local_root("data", near)


@pytest.mark.parametrize("name", ["base_checkpoint", "x" * 200, "_", "Ünïcode_asset"])
def test_names_are_valid_and_the_same_again(name: str) -> None:
    first = job_name(name, "run", 0)
    assert first == job_name(name, "run", 0) != job_name(name, "run", 1)
    assert len(first) <= NAME_LENGTH and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", first)


def test_the_settings_choose() -> None:
    assert isinstance(launcher(Settings()), Launcher)
    chosen = launcher(Settings(launcher="k8s", k8s_namespace="n", k8s_shape="cpu"))
    assert isinstance(chosen, KubernetesLauncher) and (chosen.namespace, chosen.shape) == ("n", "cpu")
    with pytest.raises(ValueError, match="CPP_PIPELINE_LAUNCHER='slurm'"):
        launcher(Settings(launcher="slurm"))
