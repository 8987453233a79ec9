"""A cluster, a storage root that its pods can reach, and assets that run a Job."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cpp_pipeline.launch.k8s.api import Cluster as Api
from cpp_pipeline.launch.k8s.client import PipesK8sJobClient
from cpp_pipeline.launch.k8s.manifest import JobRequest, Manifest, manifests
from cpp_pipeline.launch.k8s.shapes import Shape
from cpp_pipeline.storage.place import at
from cpp_pipeline_tests.cluster.fixtures import Cluster, cluster
from cpp_pipeline_tests.cluster.waiting import PATIENCE_SECONDS

__all__ = ["cluster"]
SMALL = Shape(cpu="100m", memory="64Mi", disk="1Gi", shm="16Mi")


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> str:
    """A kubeconfig file for the cluster; empty where `KUBECONFIG` names it."""
    if cluster.simulator is None:
        return ""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(cluster.simulator.kubeconfig()))
    return str(path)


@pytest.fixture
def api(cluster: Cluster, kubeconfig: str) -> Api:
    """The project's own view of the cluster."""
    return Api(cluster.namespace, kubeconfig, patience_seconds=20.0)


@pytest.fixture
def shared_root(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A storage root that tests and pods see, of this machine or (parameter `gcs`) in a bucket.

    On a real cluster it lies in the bucket of `CLUSTER_ROOT`, and is removed after the test.
    """
    wanted = getattr(request, "param", "")
    if cluster.simulator is not None:
        yield f"{request.getfixturevalue('bucket')}/root" if wanted == "gcs" else str(tmp_path / "root")
        return
    if wanted == "local":
        pytest.skip("pods of a real cluster do not see a folder of this machine")
    if not os.environ.get("CLUSTER_ROOT"):
        pytest.skip("CLUSTER_ROOT=gs://bucket/prefix names no storage that this cluster can reach")
    root = f"{os.environ['CLUSTER_ROOT']}/{cluster.namespace}"
    try:
        yield root
    finally:
        at(root).delete()


def request(cluster: Cluster, name: str, code: str, **changes: Any) -> JobRequest:
    """A Job that runs Python code."""
    given: dict[str, Any] = {
        "backoff_limit": 0,
        "grace_seconds": 5,
        "annotations": {"cpp-pipeline/identity": code[-40:]},
    }
    command = ["python", "-c", code]
    return JobRequest(name, cluster.namespace, cluster.image, command, SMALL, **{**given, **changes})


@dataclass
class Ran:
    """What became of a step that ran a Job."""

    success: bool
    logs: list[str]
    failure: dg.Failure | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def run_step(work: Callable[[dg.AssetExecutionContext], Any], instance: dg.DagsterInstance | None = None) -> Ran:
    """Run a function as the step of a run, and collect what people would see of it."""
    caught: list[dg.Failure] = []
    lines: list[str] = []

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        try:
            done = work(context)
        except dg.Failure as failure:
            caught.append(failure)
            raise
        metadata = getattr(done, "metadata", None)
        return dg.MaterializeResult(metadata=metadata)

    @dg.logger
    def collecting(_: Any) -> Any:
        import logging

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(record.getMessage())

        found = logging.Logger("collecting")
        found.addHandler(Lines())
        return found

    job = dg.Definitions(
        assets=[step], jobs=[dg.define_asset_job("one", [step])], loggers={"c": collecting}
    ).resolve_job_def("one")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config={"loggers": {"c": {}}})
    found = [m.metadata for m in result.asset_materializations_for_node("step")] if result.success else [{}]
    failure = caught[0] if caught else None
    return Ran(result.success, lines, failure, {k: v.value for k, v in found[0].items()})


def run_job(
    cluster: Cluster,
    api: Api,
    job: JobRequest,
    is_done: Callable[[], bool] = lambda: True,
    **options: Any,
) -> Ran:
    """Run a Job by the client, as a step."""
    client = PipesK8sJobClient(api, **{"tick_seconds": 1.0, "pending_seconds": PATIENCE_SECONDS, **options})
    listed: list[Manifest] = manifests(job)
    return run_step(lambda context: client.run(context=context, manifests=listed, is_done=is_done))
