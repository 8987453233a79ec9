"""What the network policies of every overlay let through, between pods as they really are labelled."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

from cpp_pipeline.launch.k8s.manifest import JobRequest, job_manifest
from cpp_pipeline.launch.k8s.shapes import SHAPES
from cpp_pipeline_tests.k8s.network import Network, Pod
from cpp_pipeline_tests.k8s.rendering import DIGEST, MANIFESTS, OVERLAYS, build, objects, of_kind, one, overlay_objects

RUNS, SANDBOX = "cpp-pipeline", "cpp-pipeline-sandbox"
INTERNET, PRIVATE, METADATA, GKE_METADATA = "142.250.1.1", "10.3.0.7", "169.254.169.254", "169.254.169.252"
CLOUD_DNS, NODE_CACHE = METADATA, "169.254.20.10"
API_SERVERS = ("172.16.0.2", "10.128.0.9", "192.168.7.1", "34.118.224.1")
"""Private addresses that control planes have, and the first Service of a GKE cluster, which is `kubernetes`."""
ASKING = ("run", "step", "job", "webserver", "code", "controller")


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
        "dns of the node": Pod("kube-system", {"k8s-app": "node-local-dns"}),
        "system": Pod("kube-system", {"k8s-app": "metrics-server"}),
        "false dns": Pod("default", {"k8s-app": "kube-dns"}),
        "elsewhere": Pod("default", {"app.kubernetes.io/name": "cpp-pipeline"}),
        "prometheus": Pod("monitoring", {}),
    }


OPEN = [
    *((who, "controller", 8888) for who in ("run", "step", "job", "prometheus")),
    ("controller", "sandbox", 8080),
    *((who, dns, 53) for who in ASKING for dns in ("dns", "dns of the node", CLOUD_DNS, NODE_CACHE)),
    *((who, INTERNET, 443) for who in ASKING),
    *((who, where, 443) for who in ASKING if who != "job" for where in API_SERVERS),
    *((who, PRIVATE, 5432) for who in ("run", "step", "webserver", "code")),
    *((who, *where) for who in ("run", "step", "job") for where in ((GKE_METADATA, 988), (METADATA, 80))),
    ("webserver", "code", 3030),
    ("job", "job", 29400),
]
CLOSED = [
    *(("sandbox", to, port) for to in ("dns", "controller", "sandbox", "run") for port in (53, 443, 8080, 8888)),
    *(("sandbox", to, 53) for to in ("dns of the node", NODE_CACHE)),
    *((who, to, 53) for who in ASKING for to in ("system", "false dns", INTERNET, PRIVATE)),
    *(("job", where, port) for where in API_SERVERS for port in (443, 6443)),
    ("job", PRIVATE, 443),
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


@pytest.mark.parametrize("dns", ["dns", "dns of the node", CLOUD_DNS, NODE_CACHE])
def test_dns_is_asked_by_udp_too(dns: str) -> None:
    asked = pods().get(dns, dns)
    assert all(network("gke-spot").allows(pods()[who], asked, 53, "UDP") for who in ASKING)
    assert not network("gke-spot").allows(pods()["sandbox"], asked, 53, "UDP")


@pytest.mark.parametrize("name", ["gke-spot", "gke-ondemand"])
def test_the_controllers_way_to_the_api_server_can_be_narrowed(name: str, tmp_path: Path) -> None:
    """With the address of a cluster in api-server.yaml the controller reaches that, and nothing else on 443."""
    shutil.copytree(MANIFESTS, tmp_path / "k8s")
    patch = tmp_path / "k8s" / "overlays" / name / "api-server.yaml"
    wide = "cidr: 0.0.0.0/0\n            except: [169.254.0.0/16]"
    assert wide in patch.read_text()
    patch.write_text(patch.read_text().replace(wide, f"cidr: {API_SERVERS[0]}/32"))
    found = objects(build(patch.parent))
    narrow = Network(of_kind(found, "NetworkPolicy"), network(name).namespaces)
    controller = pods()["controller"]
    assert narrow.allows(controller, API_SERVERS[0], 443) and narrow.allows(controller, pods()["sandbox"], 8080)
    assert not narrow.allows(controller, INTERNET, 443) and not narrow.allows(controller, API_SERVERS[1], 443)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_policy_selects_a_pod_that_there_is(name: str) -> None:
    from cpp_pipeline_tests.k8s.network import matches

    for policy in network(name).policies:
        home = policy["metadata"]["namespace"]
        chosen = [
            p for p in pods().values() if p.namespace == home and matches(policy["spec"]["podSelector"], p.labels)
        ]
        assert chosen, policy["metadata"]["name"]
