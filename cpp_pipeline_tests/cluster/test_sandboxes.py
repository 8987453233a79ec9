"""Agent Sandbox as the project uses it: a claim gets a warm pod, and the pool another one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kubernetes.client import ApiException

from cpp_pipeline_tests.cluster import crds
from cpp_pipeline_tests.cluster.fixtures import Cluster, cluster
from cpp_pipeline_tests.cluster.pools import GROUP, NAME, VERSION, create, listed, make_pool, template, warm_pool
from cpp_pipeline_tests.cluster.waiting import wait_for

__all__ = ["cluster"]


def claim(cluster: Cluster, name: str, pool: str = NAME) -> None:
    spec = {"warmPoolRef": {"name": pool}, "lifecycle": {"shutdownPolicy": "Delete"}}
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "SandboxClaim", "metadata": {"name": name}, "spec": spec}
    create(cluster, "sandboxclaims", body)


def ready(cluster: Cluster, plural: str) -> list[Any]:
    def is_ready(thing: Any) -> bool:
        found = thing.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in found)

    return [thing for thing in listed(cluster, plural) if is_ready(thing)]


def test_a_claim_takes_a_warm_pod_and_the_pool_is_filled_again(cluster: Cluster) -> None:
    make_pool(cluster, 2)
    wait_for(lambda: listed(cluster, "sandboxwarmpools")[0].get("status", {}).get("readyReplicas") == 2)
    warm = {s["metadata"]["name"] for s in ready(cluster, "sandboxes")}
    claim(cluster, "mine")
    (mine,) = wait_for(lambda: ready(cluster, "sandboxclaims"))
    given = mine["status"]["sandbox"]
    assert given["name"] in warm
    pods = {p.metadata.name: p for p in cluster.core.list_namespaced_pod(cluster.namespace).items}
    assert given["podIPs"] == [pods[given["name"]].status.pod_ip]
    wait_for(lambda: len(ready(cluster, "sandboxes")) == 3)
    wait_for(lambda: listed(cluster, "sandboxwarmpools")[0]["status"]["readyReplicas"] == 2)  # told a little later


def test_a_claim_without_a_pool_says_so(cluster: Cluster) -> None:
    claim(cluster, "nowhere", "absent")
    found = wait_for(lambda: listed(cluster, "sandboxclaims")[0].get("status", {}).get("conditions"))
    assert [(c["type"], c["status"], c["reason"]) for c in found] == [("Ready", "False", "WarmPoolNotFound")]


def test_what_the_schemas_do_not_allow_is_refused(cluster: Cluster) -> None:
    if cluster.simulator is not None and crds.schema_of("sandboxtemplates") is None:
        pytest.skip("CPP_PIPELINE_TEST_DATA names no folder that holds agent-sandbox-crds")
    empty = template(cluster.image)
    del empty["spec"]["podTemplate"]["spec"]["containers"]
    typo = copy.deepcopy(warm_pool(1))
    typo["spec"]["replica"] = 1
    for plural, body, status in (("sandboxtemplates", empty, 422), ("sandboxwarmpools", typo, 400)):
        with pytest.raises(ApiException) as refused:
            create(cluster, plural, body)
        assert refused.value.status == status
