"""One Job from its creation to its end, by the client, as a step of a Dagster run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes.client import ApiException

from cpp_pipeline.launch.k8s.api import RIGHTS, ClusterError
from cpp_pipeline.launch.k8s.api import Cluster as Api
from cpp_pipeline.launch.k8s.manifest import STOPPED, job_manifest
from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.waiting import PATIENCE_SECONDS, evict, pods, printing, wait_for
from cpp_pipeline_tests.launch.k8s.conftest import Ran, request, run_job

PIPES = (
    "from dagster_pipes import open_dagster_pipes\n"
    "with open_dagster_pipes() as p: p.log.info('from inside'); print('plain line', flush=True)"
)
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
STOPPABLE = (
    "import signal,sys,time; signal.signal(15, lambda *a: sys.exit(143)); print('ready', flush=True); time.sleep(60)"
)


def gone(cluster: Cluster, name: str) -> bool:
    try:
        cluster.batch.read_namespaced_job(name, cluster.namespace)
    except ApiException as error:
        return bool(error.status == 404)
    return False


def in_background(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


def test_success_with_its_log(cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_job(cluster, api, request(cluster, "good", PIPES))
    assert ran.success, ran.failure
    assert any("from inside" in line for line in ran.logs)
    assert "plain line" in capsys.readouterr().out
    assert (ran.metadata["k8s_job"], ran.metadata["k8s_namespace"]) == ("good", cluster.namespace)


def test_exit_code_0_without_a_result_is_a_failure(cluster: Cluster, api: Api) -> None:
    ran = run_job(cluster, api, request(cluster, "silent", "print('I say I am done')"), is_done=lambda: False)
    assert not ran.success and ran.failure is not None
    assert "committed no result" in str(ran.failure.description)
    assert "I say I am done" in str(ran.failure.metadata["last_lines"].value)


def test_a_committed_result_counts_though_the_job_failed(cluster: Cluster, api: Api) -> None:
    ran = run_job(cluster, api, request(cluster, "late", "exit(1)"), is_done=lambda: True)
    assert ran.success and any("the result is committed, though" in line for line in ran.logs)


def test_a_failure_tells_why_and_leaves_no_job(cluster: Cluster, api: Api) -> None:
    code = "print('loading'); print('out of cheese'); raise SystemExit(3)"
    ran = run_job(cluster, api, request(cluster, "bad", code, backoff_limit=1), is_done=lambda: False)
    assert ran.failure is not None and ran.failure.allow_retries
    found = {k: v.value for k, v in ran.failure.metadata.items()}
    assert (found["reason"], found["exit_code"], found["attempts"]) == ("BackoffLimitExceeded", 3, 2)
    assert "out of cheese" in str(found["last_lines"])
    assert all("exit code 3" in end for end in found["ends"])  # type: ignore[union-attr]
    assert any("SuccessfulCreate" in line for line in found["events"])  # type: ignore[union-attr]
    wait_for(lambda: gone(cluster, "bad"))
    assert pods(cluster, "bad") == []


def test_some_exit_codes_are_not_tried_again(cluster: Cluster, api: Api) -> None:
    ran = run_job(cluster, api, request(cluster, "flags", "exit(2)", backoff_limit=5), is_done=lambda: False)
    assert ran.failure is not None and not ran.failure.allow_retries
    assert ran.failure.metadata["reason"].value == "PodFailurePolicy"
    assert ran.failure.metadata["attempts"].value == 1


def test_a_job_that_is_there_is_followed_and_not_made_again(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    code = "import time; print('once', flush=True); time.sleep(1)"
    job = request(cluster, "mine", code)
    first: list[Ran] = []
    thread = in_background(threading.Thread(target=lambda: first.append(run_job(cluster, api, job))))
    printing(cluster, "mine", "once")
    second = run_job(cluster, api, job)
    thread.join()
    assert first[0].success and second.success
    assert any("following it instead of starting another" in line for line in second.logs)
    assert len(pods(cluster, "mine")) == 1


def test_a_job_that_does_something_else_is_not_adopted_and_not_deleted(cluster: Cluster, api: Api) -> None:
    run_job(cluster, api, request(cluster, "taken", "pass"))
    ran = run_job(cluster, api, request(cluster, "taken", "print('other')"))
    assert ran.failure is not None and "does something else" in str(ran.failure.description)
    assert not gone(cluster, "taken")


def test_waiting_for_a_machine_is_bounded_and_explained(cluster: Cluster, api: Api) -> None:
    job = request(cluster, "queue", "pass")
    huge = replace(job, shape=replace(job.shape, gpus=8, accelerator="nvidia-none"))
    ran = run_job(cluster, api, huge, is_done=lambda: False, pending_seconds=PATIENCE_SECONDS / 60)
    assert ran.failure is not None
    assert "no running pod for" in str(ran.failure.description)
    assert "nodes are available" in str(ran.failure.description)
    assert "CPP_PIPELINE_K8S_SHAPE" in str(ran.failure.description)
    assert any("Unschedulable" in line for line in ran.logs)
    wait_for(lambda: gone(cluster, "queue"))


def test_an_image_that_is_not_there_is_named(cluster: Cluster, api: Api) -> None:
    job = replace(request(cluster, "image", "pass"), image="registry.invalid/a@sha256:" + "1" * 64)
    ran = run_job(cluster, api, job, is_done=lambda: False, pending_seconds=PATIENCE_SECONDS / 30)
    assert ran.failure is not None and "ErrImagePull" in str(ran.failure.description)


def test_a_queue_does_not_count_as_waiting(cluster: Cluster, api: Api) -> None:
    simulator = cluster.only_simulated()
    create = simulator.create

    def suspended(resource: str, namespace: str, body: dict, dry_run: bool = False) -> dict:  # type: ignore[type-arg]
        if resource == "jobs":  # as Kueue's webhook does
            body["spec"]["suspend"] = True
        return create(resource, namespace, body, dry_run)

    simulator.create = suspended  # type: ignore[method-assign]
    job = request(cluster, "kueue", "pass", queue="gpus")
    done: list[Ran] = []
    thread = in_background(
        threading.Thread(target=lambda: done.append(run_job(cluster, api, job, pending_seconds=0.5, tick_seconds=0.3)))
    )
    wait_for(lambda: not gone(cluster, "kueue"))
    thread.join(2)
    assert not done
    cluster.batch.patch_namespaced_job("kueue", cluster.namespace, {"spec": {"suspend": False}})
    thread.join(30)
    assert done[0].success, done[0].failure


def test_a_job_that_its_queue_takes_off_the_machine_goes_on_later(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.only_simulated()  # the pods share a file of this machine
    mark = tmp_path / "mark"
    code = f"import os\nif os.path.exists({str(mark)!r}): exit(0)\n{STOPPABLE}"
    done: list[Ran] = []
    job = request(cluster, "preempted", code)
    thread = in_background(
        threading.Thread(target=lambda: done.append(run_job(cluster, api, job, pending_seconds=1.0, tick_seconds=0.3)))
    )
    printing(cluster, "preempted", "ready")
    mark.touch()
    for suspend in (True, False):
        cluster.batch.patch_namespaced_job("preempted", cluster.namespace, {"spec": {"suspend": suspend}})
        if suspend:
            wait_for(lambda: pods(cluster, "preempted") == [])
            thread.join(2)
            assert not done
    thread.join(30)
    assert done[0].success, done[0].failure


def test_an_evicted_pod_is_replaced_and_both_logs_are_shown(
    cluster: Cluster, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.only_simulated()  # the pods share a file of this machine
    mark = tmp_path / "mark"
    code = f"import os\nif os.path.exists({str(mark)!r}): print('second', flush=True); exit(0)\n{STOPPABLE}"
    done: list[Ran] = []
    job = request(cluster, "spot", code)
    thread = in_background(threading.Thread(target=lambda: done.append(run_job(cluster, api, job))))
    pod = printing(cluster, "spot", "ready")
    mark.touch()
    evict(cluster, pod.metadata.name)
    thread.join(60)
    assert done[0].success, done[0].failure
    out = capsys.readouterr().out
    assert f"[{pod.metadata.name}] ready" in out and "] second" in out
    assert any("EvictionByEvictionAPI" in line for line in done[0].logs)


def test_a_lost_connection_loses_and_repeats_no_line(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = cluster.only_simulated()
    code = "import time\nfor i in range(20): print('line', i, flush=True); time.sleep(0.1)"
    done: list[Ran] = []
    thread = in_background(
        threading.Thread(target=lambda: done.append(run_job(cluster, api, request(cluster, "cut", code))))
    )
    printing(cluster, "cut", "line 3")
    simulator.drop_logs = True
    printing(cluster, "cut", "line 9")
    simulator.drop_logs = False
    thread.join(30)
    lines = [line.split("] ")[1] for line in capsys.readouterr().out.splitlines() if "] line" in line]
    assert lines == [f"line {i}" for i in range(20)]


def test_several_nodes_run_side_by_side_with_their_service(cluster: Cluster, api: Api) -> None:
    job = request(cluster, "nodes", "import os, time; print('node', os.environ['JOB_COMPLETION_INDEX']); time.sleep(1)")
    ran = run_job(cluster, api, replace(job, shape=replace(job.shape, nodes=2)))
    assert ran.success, ran.failure
    assert sorted(p.metadata.labels[COMPLETION_INDEX] for p in pods(cluster, "nodes")) == ["0", "1"]
    (service,) = [
        s for s in cluster.core.list_namespaced_service(cluster.namespace).items if s.metadata.name == "nodes"
    ]
    assert service.spec.cluster_ip == "None"
    assert [o.kind for o in service.metadata.owner_references] == ["Job"]  # so it goes with the Job


def test_nodes_that_end_because_another_one_was_disrupted_are_no_failures(cluster: Cluster, api: Api) -> None:
    code = f"exit({STOPPED} if __import__('os').environ['JOB_COMPLETION_INDEX'] == '1' else 0)"
    job = request(cluster, "peers", code, backoff_limit=0)
    cluster.batch.create_namespaced_job(
        cluster.namespace, job_manifest(replace(job, shape=replace(job.shape, nodes=2)))
    )
    seen: set[str] = set()

    def replaced() -> bool:
        seen.update(p.metadata.name for p in pods(cluster, "peers") if p.metadata.labels[COMPLETION_INDEX] == "1")
        return len(seen) >= 3

    wait_for(replaced)
    assert not cluster.batch.read_namespaced_job("peers", cluster.namespace).status.failed


def test_history_that_the_server_has_forgotten_is_made_up_for(cluster: Cluster, api: Api) -> None:
    simulator = cluster.only_simulated()
    done: list[Ran] = []
    job = request(cluster, "old", "import time; print('ready', flush=True); time.sleep(2)")
    thread = in_background(threading.Thread(target=lambda: done.append(run_job(cluster, api, job))))
    printing(cluster, "old", "ready")
    while thread.is_alive():
        simulator.objects.forget()
        thread.join(0.2)
    assert done[0].success, done[0].failure


def test_the_listed_rights_suffice(cluster: Cluster, api: Api) -> None:
    cluster.only_simulated().allowed = RIGHTS
    nodes = request(cluster, "rights", "print('ok')")
    assert run_job(cluster, api, replace(nodes, shape=replace(nodes.shape, nodes=2))).success
    ran = run_job(cluster, api, request(cluster, "fails", "exit(2)"), is_done=lambda: False)
    assert ran.failure is not None and ran.failure.metadata["exit_code"].value == 2
    assert not any("could not be deleted" in line for line in ran.logs)
    assert api.jobs("absent=x") == []


def test_an_api_server_that_is_away_for_a_while_is_waited_for(cluster: Cluster, api: Api) -> None:
    simulator = cluster.only_simulated()
    done: list[Ran] = []
    job = request(cluster, "upgrade", "import time; print('ready', flush=True); time.sleep(1.5)")
    thread = in_background(threading.Thread(target=lambda: done.append(run_job(cluster, api, job))))
    printing(cluster, "upgrade", "ready")
    simulator.broken = True
    thread.join(2)
    assert not done
    simulator.broken = False
    thread.join(30)
    assert done[0].success, done[0].failure


def test_cancelling_deletes_the_job_and_its_pods(cluster: Cluster, api: Api, kubeconfig: str, tmp_path: Path) -> None:
    script = tmp_path / "cancelled.py"
    script.write_text(
        "from cpp_pipeline.launch.k8s.api import Cluster\n"
        "from cpp_pipeline_tests.launch.k8s.conftest import request, run_job\n"
        "from cpp_pipeline_tests.launch.k8s.test_client import STOPPABLE\n"
        f"api = Cluster({cluster.namespace!r}, {kubeconfig!r})\n"
        f"from types import SimpleNamespace as S\nc = S(namespace={cluster.namespace!r}, image={cluster.image!r})\n"
        "ran = run_job(c, api, request(c, 'cancel', STOPPABLE))\nprint(ran.success)"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        printing(cluster, "cancel", "ready")
        os.kill(process.pid, signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    wait_for(lambda: gone(cluster, "cancel"))
    assert pods(cluster, "cancel") == []
    assert process.returncode != 0 or "False" in out


def test_what_is_forbidden_names_the_setting(cluster: Cluster, api: Api) -> None:
    cluster.only_simulated().denied.add(("create", "jobs"))
    with pytest.raises(ClusterError, match=r"cannot create resource \"jobs\"[\s\S]*CPP_PIPELINE_K8S_NAMESPACE"):
        api.create({"kind": "Job", "metadata": {"name": "x"}, "spec": {}})


def test_an_api_server_out_of_reach_names_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "config"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [cluster],
                "contexts": [context],
                "users": [{"name": "c", "user": {}}],
            }
        )
    )
    with pytest.raises(ClusterError, match="cannot be reached.*CPP_PIPELINE_K8S_CONFIG"):
        Api("x", str(path), patience_seconds=0.1).job("y")
    with pytest.raises(ClusterError, match="name a kubeconfig file"):
        Api("x", str(tmp_path / "absent"))
