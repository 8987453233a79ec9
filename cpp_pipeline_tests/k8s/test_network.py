"""What the network policies of every overlay let through, between pods as they really are labelled."""

from functools import cache
from typing import Any

import pytest
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

from cpp_pipeline.launch.k8s.manifest import JobRequest, job_manifest
from cpp_pipeline.launch.k8s.shapes import SHAPES
from cpp_pipeline_tests.k8s.network import Network, Pod
from cpp_pipeline_tests.k8s.rendering import DIGEST, OVERLAYS, of_kind, one, overlay_objects

RUNS, SANDBOX = "cpp-pipeline", "cpp-pipeline-sandbox"
INTERNET, PRIVATE, METADATA, GKE_METADATA = "142.250.1.1", "10.3.0.7", "169.254.169.254", "169.254.169.252"


@cache
def network(name: str) -> Network:
    """The policies of an overlay; namespaces carry the label that a server gives them."""
    found = overlay_objects(name)
    spaces = {
        o["metadata"]["name"]: {"kubernetes.io/metadata.name": o["metadata"]["name"], **o["metadata"]["labels"]}
        for o in of_kind(found, "Namespace")
    }
    spaces |= {n: {"kubernetes.io/metadata.name": n} for n in ("kube-system", "default")}
    spaces["monitoring"] = {"kubernetes.io/metadata.name": "monitoring", "cpp-pipeline/metrics": "true"}
    return Network(of_kind(found, "NetworkPolicy"), spaces)


def of_dagster(component: str) -> Pod:
    """A pod that Dagster's own library makes."""
    job = construct_dagster_k8s_job(DagsterK8sJobConfig("i" + DIGEST), ["true"], "name", component=component)
    return Pod(RUNS, job.spec.template.metadata.labels)


@cache
def pods() -> dict[str, Pod]:
    """One pod of each sort, with the labels that its maker gives it."""
    found: Any = overlay_objects("gke-spot")
    job = job_manifest(JobRequest("job", RUNS, "i" + DIGEST, ["true"], SHAPES["cpu"]))
    controller = one(found, "Deployment", "execution-controller")["spec"]["template"]["metadata"]["labels"]
    sandbox = one(found, "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["metadata"]["labels"]
    release = {"app.kubernetes.io/instance": "dagster"}
    return {
        "run": of_dagster("run_worker"),
        "step": of_dagster("step_worker"),
        "job": Pod(RUNS, job["spec"]["template"]["metadata"]["labels"]),
        # labels of the chart: its name, that of its part for code, and the release
        "webserver": Pod(RUNS, {"app.kubernetes.io/name": "dagster", "component": "dagster-webserver", **release}),
        "code": Pod(RUNS, {"app.kubernetes.io/name": "dagster-user-deployments", **release}),
        "stranger": Pod(RUNS, {"app.kubernetes.io/name": "other"}),
        "controller": Pod(SANDBOX, controller),
        "sandbox": Pod(SANDBOX, sandbox),
        "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
        "elsewhere": Pod("default", {"app.kubernetes.io/name": "cpp-pipeline"}),
        "prometheus": Pod("monitoring", {}),
    }


OPEN = [
    *((who, "controller", 8888) for who in ("run", "step", "job", "prometheus")),
    ("controller", "sandbox", 8080),
    *((who, "dns", 53) for who in ("run", "step", "job", "webserver", "code", "controller")),
    *((who, INTERNET, 443) for who in ("run", "step", "job", "code", "webserver", "controller")),
    *((who, PRIVATE, 5432) for who in ("run", "step", "webserver", "code")),
    *((who, GKE_METADATA, 988) for who in ("run", "step", "job")),
    ("webserver", "code", 3030),
    ("job", "job", 29400),
]
CLOSED = [
    *(("sandbox", to, port) for to in ("dns", "controller", "sandbox", "run") for port in (53, 443, 8080, 8888)),
    *(("sandbox", to, port) for to in (INTERNET, PRIVATE, METADATA, GKE_METADATA) for port in (53, 80, 443, 988)),
    *((who, "sandbox", 8080) for who in ("run", "step", "job", "webserver", "elsewhere", "prometheus")),
    ("controller", "sandbox", 22),
    *((who, "controller", 8888) for who in ("webserver", "code", "stranger", "elsewhere", "sandbox")),
    *((who, "run", 3030) for who in ("job", "elsewhere", "controller", "sandbox")),
    *((who, INTERNET, 80) for who in ("run", "step", "job", "controller")),
    *((who, METADATA, 443) for who in ("run", "step", "job", "controller")),
    *((who, METADATA, 80) for who in ("controller", "sandbox")),
    ("job", PRIVATE, 5432),
    ("stranger", INTERNET, 443),
]


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize(("source", "target", "port"), OPEN)
def test_what_is_needed_is_open(name: str, source: str, target: str, port: int) -> None:
    assert network(name).allows(pods()[source], pods().get(target, target), port)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize(("source", "target", "port"), CLOSED)
def test_what_is_not_needed_is_closed(name: str, source: str, target: str, port: int) -> None:
    assert not network(name).allows(pods()[source], pods().get(target, target), port)


def test_dns_is_asked_by_udp_too() -> None:
    assert network("gke-spot").allows(pods()["run"], pods()["dns"], 53, "UDP")
    assert not network("gke-spot").allows(pods()["sandbox"], pods()["dns"], 53, "UDP")


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_policy_selects_a_pod_that_there_is(name: str) -> None:
    from cpp_pipeline_tests.k8s.network import matches

    for policy in network(name).policies:
        home = policy["metadata"]["namespace"]
        chosen = [
            p for p in pods().values() if p.namespace == home and matches(policy["spec"]["podSelector"], p.labels)
        ]
        assert chosen, policy["metadata"]["name"]
