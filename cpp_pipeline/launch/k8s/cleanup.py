"""Jobs of runs that died.

A run that is cancelled deletes its Jobs itself; one whose process was killed cannot.
"""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from cpp_pipeline.launch.k8s.api import Cluster
from cpp_pipeline.launch.k8s.findings import end_of
from cpp_pipeline.launch.k8s.launcher import RUN_LABEL
from cpp_pipeline.launch.k8s.manifest import OWN


def delete_jobs_of(cluster: Cluster, run_id: str, log: Callable[[str], None] = lambda _: None) -> list[str]:
    """Delete what a run has left in the cluster and that still works; returns the Jobs' names.

    Finished Jobs keep their logs until their TTL. Those of Dagster itself, the run's and its steps', are left alone.
    """
    own = ",".join(f"{label}={value}" for label, value in {**OWN, RUN_LABEL: run_id}.items())
    left = [j for j in cluster.jobs(own) if end_of(j) is None]
    names = [j["metadata"]["name"] for j in left if "deletionTimestamp" not in j["metadata"]]
    for name in names:
        log(f"run {run_id} has ended and left Job {name} behind: deleting it")
        cluster.delete_job(name)
    return names


def jobs_of_dead_runs(status: dg.DagsterRunStatus, namespace: str, config: str) -> dg.SensorDefinition:
    """The sensor that does so for every run that ends with a status."""

    @dg.run_status_sensor(
        run_status=status,
        name=f"jobs_of_{status.value.lower()}_runs",
        description="Deletes the Jobs that such a run has left in the cluster.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        delete_jobs_of(Cluster(namespace, config), context.dagster_run.run_id, context.log.warning)

    return sensor
