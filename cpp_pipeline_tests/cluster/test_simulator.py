"""The simulator behaves as the real server was seen to behave; the same tests pass on a cluster of `KUBECONFIG`."""

from __future__ import annotations

import copy
import json
import threading
import time
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from cpp_pipeline_tests.cluster.fixtures import Cluster, cluster
from cpp_pipeline_tests.cluster.manifests import PATIENT, SECURE, job, pod_spec
from cpp_pipeline_tests.cluster.waiting import ended, evict, log_of, outcome, pods, printing, wait_for

__all__ = ["cluster"]
IGNORE_DISRUPTION = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def create(cluster: Cluster, name: str, code: str, pod: dict[str, Any] | None = None, **spec: Any) -> str:
    body = job(name, pod_spec(cluster.image, code, **(pod or {})), **spec)
    cluster.batch.create_namespaced_job(cluster.namespace, body)
    return name


def events(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    found = cluster.core.list_namespaced_event(cluster.namespace, field_selector=f"involvedObject.name={name}")
    return [(e.reason, e.message) for e in found.items]


def test_a_job_runs_and_its_log_can_be_read(cluster: Cluster) -> None:
    name = create(cluster, "hello", "print('one'); print('zwölf')")
    found = ended(cluster, name)
    assert outcome(found)[0] == "Complete" and found.status.succeeded == 1 and not found.status.active
    (pod,) = pods(cluster, name)
    assert pod.status.phase == "Succeeded"
    assert {"job-name", "batch.kubernetes.io/job-name"} <= set(pod.metadata.labels)
    assert log_of(cluster, pod.metadata.name) == "one\nzwölf\n"
    stamp, text = log_of(cluster, pod.metadata.name, timestamps=True, tail_lines=1).split()
    assert stamp.endswith("Z") and text == "zwölf"
    with pytest.raises(ApiException) as refused:
        log_of(cluster, pod.metadata.name, previous=True)
    assert refused.value.status == 400


def test_a_log_is_followed_while_it_grows(cluster: Cluster) -> None:
    name = create(cluster, "slow", "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.2)")
    pod = wait_for(lambda: next((p for p in pods(cluster, name) if p.status.phase == "Running"), None))
    follow = watch.Watch().stream(cluster.core.read_namespaced_pod_log, pod.metadata.name, cluster.namespace)
    assert [line for line in follow if line] == ["0", "1", "2"]


def test_a_job_of_one_name_is_made_once(cluster: Cluster) -> None:
    create(cluster, "same", "pass")
    with pytest.raises(ApiException) as refused:
        create(cluster, "same", "pass")
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    with pytest.raises(ApiException) as missing:
        cluster.batch.read_namespaced_job("other", cluster.namespace)
    assert missing.value.status == 404


def broken(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Jobs that fit the schema and that a server refuses all the same."""
    good = job("good", pod_spec(cluster.image, "pass"))
    found = {name: copy.deepcopy(good) for name in ("name", "quantity", "restart", "mount", "rule", "index", "gpu")}
    pod = {name: body["spec"]["template"]["spec"] for name, body in found.items()}
    found["name"]["metadata"]["name"] = "Not_A_Name"
    pod["quantity"]["containers"][0]["resources"] = {"limits": {"memory": "8 gigabytes"}}
    pod["restart"]["restartPolicy"] = "Always"
    pod["mount"]["containers"][0]["volumeMounts"] = [{"name": "absent", "mountPath": "/x"}]
    exit_zero = {"onExitCodes": {"operator": "In", "values": [0]}, "action": "FailJob"}
    found["rule"]["spec"]["podFailurePolicy"] = {"rules": [exit_zero]}
    found["index"]["spec"]["completionMode"] = "Indexed"
    pod["gpu"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
    return found


@pytest.mark.parametrize("kind", ["name", "quantity", "restart", "mount", "rule", "index", "gpu"])
def test_what_breaks_a_rule_is_refused(cluster: Cluster, kind: str) -> None:
    with pytest.raises(ApiException) as refused:
        cluster.batch.create_namespaced_job(cluster.namespace, broken(cluster)[kind])
    assert refused.value.status == (400 if kind == "quantity" else 422)


def test_a_pod_that_is_not_restricted_is_refused_and_its_job_makes_none(cluster: Cluster) -> None:
    loose = pod_spec(cluster.image, "pass")
    loose["containers"][0]["securityContext"] = {**SECURE, "allowPrivilegeEscalation": True}
    with pytest.raises(ApiException) as refused:
        cluster.core.create_namespaced_pod(cluster.namespace, {"metadata": {"name": "loose"}, "spec": loose})
    assert refused.value.status == 403 and "allowPrivilegeEscalation != false" in refused.value.body
    cluster.batch.create_namespaced_job(cluster.namespace, job("loose", loose))
    wait_for(lambda: [m for r, m in events(cluster, "loose") if r == "FailedCreate" and "violates PodSecurity" in m])
    assert pods(cluster, "loose") == []


def test_a_pod_that_fits_no_node_says_why(cluster: Cluster) -> None:
    create(cluster, "picky", "pass", {"nodeSelector": {"cpp-pipeline.test/none": "such"}})

    def reason() -> str:
        conditions = [c for p in pods(cluster, "picky") for c in p.status.conditions or []]
        return next((c.message for c in conditions if c.reason == "Unschedulable"), "")

    assert "didn't match Pod's node affinity/selector" in wait_for(reason)
    assert any(
        r == "FailedScheduling" for r, _ in wait_for(lambda: events(cluster, pods(cluster, "picky")[0].metadata.name))
    )


def test_the_second_pod_waits_for_the_only_gpu(cluster: Cluster) -> None:
    cluster.only_simulated()
    asked = pod_spec(cluster.image, PATIENT, tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    asked["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    for name in ("first", "second"):
        cluster.batch.create_namespaced_job(cluster.namespace, job(name, asked))
        wait_for(lambda n=name: pods(cluster, n))  # type: ignore[misc]
    printing(cluster, "first", "ready")
    waiting = wait_for(lambda: [c for p in pods(cluster, "second") for c in p.status.conditions or []])
    assert "Insufficient nvidia.com/gpu" in waiting[0].message
    cluster.batch.delete_namespaced_job("first", cluster.namespace, propagation_policy="Foreground")
    printing(cluster, "second", "ready")


def test_an_image_that_cannot_be_pulled_leaves_its_pod_waiting(cluster: Cluster) -> None:
    cluster.batch.create_namespaced_job(cluster.namespace, job("absent", pod_spec("registry.invalid/x:1", "pass")))

    def reason() -> str:
        states = [s.state.waiting for p in pods(cluster, "absent") for s in p.status.container_statuses or []]
        return next((s.reason for s in states if s), "")

    assert wait_for(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"))


def test_exit_codes_decide_by_the_failure_policy(cluster: Cluster) -> None:
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}
    never = ended(cluster, create(cluster, "never", "exit(42)", backoffLimit=3, podFailurePolicy=policy))
    assert outcome(never) == ("Failed", "PodFailurePolicy") and len(pods(cluster, "never")) == 1
    often = ended(cluster, create(cluster, "often", "exit(1)", backoffLimit=1, podFailurePolicy=policy))
    assert outcome(often) == ("Failed", "BackoffLimitExceeded")
    assert often.status.failed == 2 and len(pods(cluster, "often")) == 2
    assert [p.status.container_statuses[0].state.terminated.exit_code for p in pods(cluster, "often")] == [1, 1]


def test_only_the_failed_index_is_tried_again(cluster: Cluster) -> None:
    code = (
        "import os; print('index', os.environ['JOB_COMPLETION_INDEX']); exit(os.environ['JOB_COMPLETION_INDEX'] == '1')"
    )
    spec = {
        "completions": 3,
        "parallelism": 3,
        "completionMode": "Indexed",
        "backoffLimitPerIndex": 1,
        "backoffLimit": 9,
    }
    found = ended(cluster, create(cluster, "parts", code, **spec))
    assert outcome(found) == ("Failed", "FailedIndexes")
    assert (found.status.completed_indexes, found.status.failed_indexes) == ("0,2", "1")
    index = "batch.kubernetes.io/job-completion-index"
    assert sorted(p.metadata.annotations[index] for p in pods(cluster, "parts")) == ["0", "1", "1", "2"]


def test_a_deadline_ends_a_job(cluster: Cluster) -> None:
    found = ended(cluster, create(cluster, "late", PATIENT, activeDeadlineSeconds=1))
    assert outcome(found) == ("Failed", "DeadlineExceeded")


def test_a_suspended_job_has_no_pods_until_it_is_resumed(cluster: Cluster) -> None:
    create(cluster, "queued", "pass", suspend=True)
    wait_for(lambda: cluster.batch.read_namespaced_job("queued", cluster.namespace).status.conditions)
    assert pods(cluster, "queued") == []
    cluster.batch.patch_namespaced_job("queued", cluster.namespace, {"spec": {"suspend": False}})
    assert outcome(ended(cluster, "queued"))[0] == "Complete"


def gone(cluster: Cluster, name: str) -> bool:
    try:
        cluster.batch.read_namespaced_job(name, cluster.namespace)
    except ApiException as error:
        return bool(error.status == 404)
    return False


def test_a_finished_job_goes_after_its_ttl(cluster: Cluster) -> None:
    create(cluster, "brief", "pass", ttlSecondsAfterFinished=0)
    create(cluster, "lasting", "pass")
    wait_for(lambda: gone(cluster, "brief"))
    assert outcome(ended(cluster, "lasting"))[0] == "Complete"
    assert not gone(cluster, "lasting")


def test_deletion_takes_the_pods_along_only_when_asked(cluster: Cluster) -> None:
    for name in ("kept", "taken"):
        create(cluster, name, PATIENT)
        printing(cluster, name, "ready")
    cluster.batch.delete_namespaced_job("kept", cluster.namespace, propagation_policy="Orphan")
    wait_for(lambda: gone(cluster, "kept"))
    assert [p.status.phase for p in pods(cluster, "kept")] == ["Running"]
    cluster.batch.delete_namespaced_job("taken", cluster.namespace, propagation_policy="Foreground")
    wait_for(lambda: gone(cluster, "taken"))
    assert pods(cluster, "taken") == []  # foreground: the Job goes last


def test_a_program_without_a_handler_lives_until_its_grace_ends(cluster: Cluster) -> None:
    deaf = "import time; print('ready', flush=True); time.sleep(60)"
    create(cluster, "deaf", deaf, {"terminationGracePeriodSeconds": 1})
    pod = printing(cluster, "deaf", "ready")
    codes: list[int] = []
    stream = watch.Watch()
    evict(cluster, pod.metadata.name)
    for event in stream.stream(cluster.core.list_namespaced_pod, cluster.namespace, timeout_seconds=30):
        for status in event["object"].status.container_statuses or []:
            if status.state.terminated:
                codes.append(status.state.terminated.exit_code)
        if event["type"] == "DELETED" or codes:
            stream.stop()
    assert codes == [137]


def test_selectors(cluster: Cluster) -> None:
    create(cluster, "a", "pass")
    create(cluster, "b", "pass")
    named = cluster.batch.list_namespaced_job(cluster.namespace, field_selector="metadata.name=a").items
    assert [j.metadata.name for j in named] == ["a"]
    for selector, wanted in {"test=yes": 2, "test!=yes": 0, "test in (yes,no)": 2, "!test": 0, "absent": 0}.items():
        assert len(cluster.batch.list_namespaced_job(cluster.namespace, label_selector=selector).items) == wanted


def test_a_watch_goes_on_from_a_version_and_says_when_it_cannot(cluster: Cluster) -> None:
    simulator = cluster.only_simulated()
    create(cluster, "a", "pass")
    ended(cluster, "a")
    listed = cluster.batch.list_namespaced_job(cluster.namespace)
    seen: list[str] = []

    def follow() -> None:
        options = {"resource_version": listed.metadata.resource_version, "timeout_seconds": 4}
        stream = watch.Watch().stream(
            cluster.batch.list_namespaced_job, cluster.namespace, allow_watch_bookmarks=True, **options
        )
        seen.extend(e["type"] + ":" + e["raw_object"]["metadata"].get("name", "") for e in stream)

    thread = threading.Thread(target=follow)
    thread.start()
    create(cluster, "b", "pass")
    ended(cluster, "b")
    thread.join()
    assert seen[0] == "ADDED:b" and "BOOKMARK:" in seen and not any(s.endswith(":a") for s in seen)
    simulator.objects.forget()
    create(cluster, "c", "pass")
    with pytest.raises(ApiException) as expired:
        list(
            watch.Watch().stream(
                cluster.batch.list_namespaced_job, cluster.namespace, resource_version="1", timeout_seconds=1
            )
        )
    assert expired.value.status == 410


def test_what_an_account_may_not_is_forbidden(cluster: Cluster) -> None:
    cluster.only_simulated().denied.add(("create", "jobs"))
    with pytest.raises(ApiException) as refused:
        create(cluster, "x", "pass")
    message = json.loads(refused.value.body)["message"]
    assert refused.value.status == 403 and 'cannot create resource "jobs" in API group "batch"' in message


def test_the_version_is_told(cluster: Cluster) -> None:
    assert client.VersionApi(cluster.api).get_code().git_version.startswith("v1.")


def test_eviction_goes_through_the_real_sequence(cluster: Cluster) -> None:
    """Event by event what kube-apiserver 1.36 and its controllers do to an evicted pod of a Job."""
    policy = {"rules": [IGNORE_DISRUPTION]}
    create(cluster, "moved", PATIENT, podFailurePolicy=policy, podReplacementPolicy="Failed")
    first = printing(cluster, "moved", "ready").metadata.name
    trace: list[tuple[str, str]] = []
    counts: list[tuple[Any, Any]] = []
    begin_pods = cluster.core.list_namespaced_pod(cluster.namespace).metadata.resource_version
    begin_jobs = cluster.batch.list_namespaced_job(cluster.namespace).metadata.resource_version
    evict(cluster, first)
    second = ""
    stream = watch.Watch()
    for event in stream.stream(
        cluster.core.list_namespaced_pod, cluster.namespace, resource_version=begin_pods, timeout_seconds=60
    ):
        pod = event["object"]
        if pod.metadata.name != first:
            second = pod.metadata.name
            stream.stop()
            continue
        trace.append((event["type"], _stage(pod)))
    distinct = [t for n, t in enumerate(trace) if n == 0 or t != trace[n - 1]]
    assert distinct == [
        ("MODIFIED", "DisruptionTarget by EvictionByEvictionAPI"),
        ("MODIFIED", "deletionTimestamp"),
        ("MODIFIED", "Failed with 143"),
        ("DELETED", "Failed with 143"),
    ]
    printing(cluster, "moved", "ready")
    for event in watch.Watch().stream(
        cluster.batch.list_namespaced_job, cluster.namespace, resource_version=begin_jobs, timeout_seconds=1
    ):
        counts.append((event["object"].status.active, event["object"].status.failed))
    active = [a for a, _ in counts]
    assert None in active and active[-1] == 1 and {f for _, f in counts} == {None}
    assert second != first and [p.metadata.name for p in pods(cluster, "moved")] == [second]


def _stage(pod: Any) -> str:
    terminated = [s.state.terminated for s in pod.status.container_statuses or [] if s.state.terminated]
    if pod.status.phase == "Failed":
        return f"Failed with {terminated[0].exit_code}"
    if pod.metadata.deletion_timestamp:
        return "deletionTimestamp"
    disrupted = [c for c in pod.status.conditions or [] if c.type == "DisruptionTarget"]
    return f"DisruptionTarget by {disrupted[0].reason}" if disrupted else "running"


def test_a_replacement_waits_until_its_predecessor_has_ended(cluster: Cluster) -> None:
    """Two pods of one Job never run side by side under podReplacementPolicy Failed."""
    code = (
        "import signal,sys,time\ndef end(*a): time.sleep(1); sys.exit(143)\n"
        "signal.signal(15, end); print('ready', flush=True); time.sleep(60)"
    )
    policy = {"rules": [IGNORE_DISRUPTION]}
    create(cluster, "alone", code, podFailurePolicy=policy, podReplacementPolicy="Failed")
    first = printing(cluster, "alone", "ready").metadata.name
    evict(cluster, first)
    most = 0
    started = time.monotonic()
    while not any(p.metadata.name != first for p in pods(cluster, "alone")):
        most = max(most, len(pods(cluster, "alone")))
        assert time.monotonic() - started < 60
        time.sleep(0.02)
    assert most == 1 and first not in [p.metadata.name for p in pods(cluster, "alone")]
