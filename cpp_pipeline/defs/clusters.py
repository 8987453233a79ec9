"""Clusters: what a run that was killed has left there is removed."""

import dagster as dg

from cpp_pipeline.defs.resources import SETTINGS
from cpp_pipeline.launch.k8s.cleanup import jobs_of_dead_runs


@dg.definitions
def clusters() -> dg.Definitions:
    """A sensor for each way in which a run ends without its own clean-up, where Jobs are launched at all."""
    if SETTINGS.launcher != "k8s":
        return dg.Definitions()
    ends = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    return dg.Definitions(sensors=[jobs_of_dead_runs(end, SETTINGS.k8s_namespace, SETTINGS.k8s_config) for end in ends])
