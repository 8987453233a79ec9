"""What a step leaves of its Job when it fails, is cancelled or is taken away itself, and what its next try finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from cpp_pipeline.launch.choose import kubernetes_launcher
from cpp_pipeline.launch.k8s.api import Cluster as Api
from cpp_pipeline.launch.k8s.client import PipesK8sJobClient
from cpp_pipeline.launch.k8s.logs import PodLogs
from cpp_pipeline.launch.k8s.manifest import job_manifest, manifests
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.store import Store
from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.waiting import PATIENCE_SECONDS, evict, log_of, pods, printing, wait_for
from cpp_pipeline_tests.launch.k8s.conftest import Ran, request, run_job, run_step
from cpp_pipeline_tests.launch.k8s.test_client import STOPPABLE, gone
from cpp_pipeline_tests.launch.k8s.test_launcher import Sending, Setup, failure_of, fields, setup, trained

__all__ = ["setup"]
LONG = "import time; print('ready', flush=True); time.sleep(30)"


def watch_from_a_pod(namespace: str, image: str, kubeconfig: str, *, cancel: bool) -> Ran:
    """Run the Job `moved` as a step that is in a pod itself; with `cancel`, somebody cancels the run meanwhile."""
    cluster: Any = SimpleNamespace(namespace=namespace, image=image)
    client = PipesK8sJobClient(Api(namespace, kubeconfig), tick_seconds=1.0, in_pod=True)
    listed = manifests(request(cluster, "moved", STOPPABLE))

    def work(context: dg.AssetExecutionContext) -> Any:
        if cancel:
            context.instance.report_run_canceling(context.run)
        return client.run(context=context, manifests=listed, is_done=lambda: True)

    return run_step(work)


def interrupted(cluster: Cluster, kubeconfig: str, *, cancel: bool) -> None:
    """Send SIGTERM to a process that watches, as to a pod which is taken away."""
    call = f"watch_from_a_pod({cluster.namespace!r}, {cluster.image!r}, {kubeconfig!r}, cancel={cancel})"
    code = f"from {__name__} import watch_from_a_pod\n{call}"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        printing(cluster, "moved", "ready")
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()


def test_a_step_whose_pod_is_taken_away_leaves_the_job_to_its_next_try(
    cluster: Cluster, api: Api, kubeconfig: str
) -> None:
    interrupted(cluster, kubeconfig, cancel=False)
    assert [pod.status.phase for pod in pods(cluster, "moved")] == ["Running"]
    assert api.job("moved") is not None and not gone(cluster, "moved")


def test_of_a_run_that_is_cancelled_the_job_goes(cluster: Cluster, kubeconfig: str) -> None:
    interrupted(cluster, kubeconfig, cancel=True)
    wait_for(lambda: gone(cluster, "moved"))
    assert pods(cluster, "moved") == []


def test_the_launcher_knows_whether_it_is_in_a_pod() -> None:
    inside = Settings.from_env({"DAGSTER_RUN_JOB_NAME": "__ASSET_JOB"})
    assert [kubernetes_launcher(found).in_pod for found in (inside, Settings())] == [True, False]


class KilledAtFirst(Sending):
    """As if the process of the first try had been killed while its Job was at work: nobody tidies up."""

    def _run_job(self, context: Any, module: str, arguments: Mapping[str, object], job: Any, folders: Any) -> None:
        if context.retry_number == 0:
            self._stage(arguments, job)
            wanted = self.request(context, module, self.places(arguments, job), job, len(folders))
            Api(self.namespace, self.config).create(job_manifest(wanted))
            raise dg.RetryRequested(max_retries=1)
        super()._run_job(context, module, arguments, job, folders)


def test_the_next_try_of_a_killed_step_follows_its_job(setup: Setup, cluster: Cluster) -> None:
    result = setup.materialize(trained(steps=40), used=KilledAtFirst(**fields(setup.launcher)))
    assert result.success, failure_of(result)
    jobs = cluster.batch.list_namespaced_job(cluster.namespace, label_selector="dagster/op=sft_checkpoint").items
    assert [job.metadata.labels["dagster/run-id"] for job in jobs] == [result.run_id]
    assert len(pods(cluster, jobs[0].metadata.name)) == 1
    assert Store(setup.root).result("checkpoints", "sft_checkpoint") is not None


def test_an_image_that_is_not_there_ends_it_soon_and_names_the_setting(cluster: Cluster, api: Api) -> None:
    image = "registry.invalid/a@sha256:" + "1" * 64
    job = replace(request(cluster, "image", "pass"), image=image)
    ran = run_job(cluster, api, job, image_seconds=PATIENCE_SECONDS / 90)
    assert ran.failure is not None and not ran.failure.allow_retries
    assert "CPP_PIPELINE_K8S_IMAGE" in str(ran.failure.description) and image in str(ran.failure.description)
    wait_for(lambda: gone(cluster, "image"))


def test_nodes_that_wait_for_one_that_has_no_machine_do_not_wait_for_ever(cluster: Cluster, api: Api) -> None:
    one_fits = f"{max(float(node.cpu) for node in cluster.only_simulated().nodes):g}"
    job = request(cluster, "pair", "import time; time.sleep(60)")
    pair = replace(job, shape=replace(job.shape, cpu=one_fits, nodes=2))
    ran = run_job(cluster, api, pair, is_done=lambda: False, pending_seconds=2.0)
    assert ran.failure is not None
    assert "fewer than 2 running pods" in str(ran.failure.description)
    assert "Insufficient cpu" in str(ran.failure.description)


def test_what_a_command_says_last_is_told_where_no_other_try_helps(cluster: Cluster, api: Api) -> None:
    code = "print('loading'); print('--steps=-1: use 1 or more'); raise SystemExit(42)"
    ran = run_job(cluster, api, request(cluster, "flags", code), is_done=lambda: False)
    assert ran.failure is not None and "--steps=-1: use 1 or more" in str(ran.failure.description)


def test_where_the_service_is_refused_no_job_is_left_waiting(cluster: Cluster, api: Api) -> None:
    cluster.only_simulated().denied.add(("create", "services"))
    nodes = request(cluster, "alone", STOPPABLE)
    ran = run_job(cluster, api, replace(nodes, shape=replace(nodes.shape, nodes=2)))
    assert not ran.success
    wait_for(lambda: gone(cluster, "alone"))


def test_a_cluster_that_tells_no_events_does_not_hide_the_failure(cluster: Cluster, api: Api) -> None:
    cluster.only_simulated().denied.add(("list", "events"))
    ran = run_job(cluster, api, request(cluster, "bad", "raise SystemExit(3)"), is_done=lambda: False)
    assert ran.failure is not None and ran.failure.metadata["exit_code"].value == 3
    assert "could not be asked" in str(ran.failure.metadata["events"].value)


def test_a_cluster_out_of_reach_keeps_the_job(cluster: Cluster, kubeconfig: str, tmp_path: Path) -> None:
    simulator = cluster.only_simulated()
    hasty = Api(cluster.namespace, kubeconfig, patience_seconds=0.5)

    def work(context: dg.AssetExecutionContext) -> Any:
        def is_done() -> bool:
            raise AssertionError("it has not ended")

        client = PipesK8sJobClient(hasty, tick_seconds=0.5)
        listed = manifests(request(cluster, "far", LONG))
        return client.run(context=context, manifests=listed, is_done=is_done)

    done: list[Ran] = []
    thread = threading.Thread(target=lambda: done.append(run_step(work)))
    thread.start()
    printing(cluster, "far", "ready")
    simulator.broken = True
    thread.join(30)
    simulator.broken = False
    assert not done[0].success and done[0].failure is None
    assert [pod.status.phase for pod in pods(cluster, "far")] == ["Running"]


def test_a_job_that_was_refused_is_not_deleted(cluster: Cluster, api: Api) -> None:
    cluster.only_simulated().denied.add(("create", "jobs"))
    ran = run_job(cluster, api, request(cluster, "refused", "pass"))
    assert not ran.success and not any("deleting" in line for line in ran.logs)


def test_an_image_that_a_pod_has_run_is_waited_for_like_a_machine(cluster: Cluster, api: Api) -> None:
    simulator = cluster.only_simulated()
    done: list[Ran] = []
    bounds = {"image_seconds": 0.2, "pending_seconds": 4.0}
    job = request(cluster, "moved", STOPPABLE)
    thread = threading.Thread(target=lambda: done.append(run_job(cluster, api, job, lambda: False, **bounds)))
    thread.start()
    pod = printing(cluster, "moved", "ready")
    (found,) = simulator.objects.find("jobs", None, lambda j: j["metadata"]["name"] == "moved")
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/a@sha256:" + "1" * 64
    evict(cluster, pod.metadata.name)
    thread.join(60)
    failure = done[0].failure
    assert failure is not None and failure.allow_retries
    assert "CPP_PIPELINE_K8S_PENDING_SECONDS" in str(failure.description)


def test_nobody_listens_to_logs_that_are_stopped(cluster: Cluster, api: Api) -> None:
    code = "import time\nfor n in range(600): print(n, flush=True); time.sleep(0.05)"
    manifest = job_manifest(request(cluster, "chatty", code))
    api.create(manifest)
    printing(cluster, "chatty", "5")
    lines: list[str] = []
    logs = PodLogs(api, lambda _, line: lines.append(line))
    logs.look_at(api.pods("chatty")[0])
    wait_for(lambda: len(lines) > 5)
    logs.stop()
    heard = len(lines)
    wait_for(lambda: f"{heard + 20}" in log_of(cluster, pods(cluster, "chatty")[0].metadata.name))
    assert len(lines) == heard
