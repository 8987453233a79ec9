"""The fixture `cluster`, for the tests that import it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from cpp_pipeline_tests.cluster.podsecurity import LABEL
from cpp_pipeline_tests.cluster.simulator import Simulator

IMAGE = "example.invalid/cpp-pipeline@sha256:" + "0" * 64
"""An image that no registry has; the simulator runs commands with the tests' own Python instead."""


OURS = {"app.kubernetes.io/part-of": "cpp-pipeline-tests"}
"""Label of the namespaces, by which those of a test run that was killed are found."""


@dataclass(frozen=True)
class Cluster:
    """A cluster to test against, with a namespace of the test's own."""

    api: client.ApiClient
    namespace: str
    image: str
    simulator: Simulator | None
    """None on a real cluster."""

    @property
    def batch(self) -> client.BatchV1Api:
        """Jobs."""
        return client.BatchV1Api(self.api)

    @property
    def core(self) -> client.CoreV1Api:
        """Pods and the rest."""
        return client.CoreV1Api(self.api)

    def only_simulated(self) -> Simulator:
        """The simulator, for faults that cannot be asked of a real cluster; skips there."""
        if self.simulator is None:
            pytest.skip("this fault cannot be asked of a real cluster")
        return self.simulator


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The cluster of `KUBECONFIG` (with `CLUSTER_IMAGE`, an image that holds the project), or a simulator."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    if not os.environ.get("KUBECONFIG"):
        with Simulator(tmp_path / "pods") as simulator:
            simulator.add_namespace(namespace)
            yield Cluster(simulator.api_client(), namespace, IMAGE, simulator)
        return
    if not os.environ.get("CLUSTER_IMAGE"):
        pytest.fail("KUBECONFIG names a cluster: CLUSTER_IMAGE=REPOSITORY@sha256:... has to name the image of its pods")
    found = Cluster(config.new_client_from_config(), namespace, os.environ["CLUSTER_IMAGE"], None)
    found.core.create_namespace({"metadata": {"name": namespace, "labels": {LABEL: "restricted", **OURS}}})
    try:
        _wait_for_account(found)
        yield found
    finally:
        found.core.delete_namespace(namespace)


def _wait_for_account(cluster: Cluster) -> None:
    """A new namespace takes pods only when its account is there."""
    deadline = time.monotonic() + 60
    while not any(a.metadata.name == "default" for a in _accounts(cluster)):
        assert time.monotonic() < deadline, f"namespace {cluster.namespace} got no account `default`"
        time.sleep(0.2)


def _accounts(cluster: Cluster) -> list[Any]:
    return list(cluster.core.list_namespaced_service_account(cluster.namespace).items)
