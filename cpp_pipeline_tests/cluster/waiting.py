"""Waiting for what a cluster does in its own time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cpp_pipeline_tests.cluster.fixtures import Cluster

T = TypeVar("T")
PATIENCE_SECONDS = 600.0 if os.environ.get("KUBECONFIG") else 90.0
"""A real cluster may have to fetch an image of gigabytes, or to start a machine."""


def wait_for(look: Callable[[], T]) -> T:
    """The first truthy answer; fails after a time that suffices for the cluster."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s")


def ended(cluster: Cluster, name: str) -> Any:
    """The Job, once it is Complete or Failed."""

    def look() -> Any:
        found = cluster.batch.read_namespaced_job(name, cluster.namespace)
        kinds = {c.type for c in found.status.conditions or [] if c.status == "True"}
        return found if kinds & {"Complete", "Failed"} else None

    return wait_for(look)


def outcome(found: Any) -> tuple[str, str]:
    """(Complete or Failed, reason)."""
    return next((c.type, c.reason or "") for c in found.status.conditions if c.type in ("Complete", "Failed"))


def pods(cluster: Cluster, name: str) -> list[Any]:
    """The pods of a Job."""
    selector = f"batch.kubernetes.io/job-name={name}"
    return list(cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items)


def log_of(cluster: Cluster, pod: str, **options: Any) -> str:
    """A pod's log so far."""
    answer = cluster.core.read_namespaced_pod_log(pod, cluster.namespace, _preload_content=False, **options)
    return str(answer.data.decode())


def printing(cluster: Cluster, name: str, word: str) -> Any:
    """The running pod of a Job, once it has printed a word."""

    def look() -> Any:
        for pod in pods(cluster, name):
            if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp:
                return pod if word in log_of(cluster, pod.metadata.name) else None
        return None

    return wait_for(look)


def evict(cluster: Cluster, pod: str) -> None:
    """Evict through the API, as a drained or reclaimed node does."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": cluster.namespace}}
    cluster.core.create_namespaced_pod_eviction(pod, cluster.namespace, body)
