"""The fixture `cluster`, for the tests that import it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client, config

from cpp_pipeline_tests.cluster.podsecurity import LABEL
from cpp_pipeline_tests.cluster.simulator import Simulator

IMAGE = "example.invalid/cpp-pipeline@sha256:" + "0" * 64
"""An image that no registry has; the simulator runs commands with the tests' own Python instead."""


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
    api = config.new_client_from_config()
    labels = {LABEL: "restricted"}
    client.CoreV1Api(api).create_namespace({"metadata": {"name": namespace, "labels": labels}})
    try:
        yield Cluster(api, namespace, os.environ.get("CLUSTER_IMAGE", IMAGE), None)
    finally:
        client.CoreV1Api(api).delete_namespace(namespace)
