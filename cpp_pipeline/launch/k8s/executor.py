"""Steps of a Dagster run as pods of a cluster: dagster-k8s' executor, with the settings' machines and bounds.

A step's Job makes one attempt and no second one by itself: Dagster refuses a pod that starts a started step again. A
lost pod is a failed step, which `CPP_PIPELINE_STEP_RETRIES` starts anew; other partitions are runs of their own.

Step pods of all runs are bounded by giving each run an equal share. Dagster's pools would share as it comes. But a run
that is taken up again replays its events, and Dagster 1.13 breaks off at a step that has ended and that, by the replay,
could not have begun: for want of a slot, which it claims anew, or of a place among `max_concurrent`.

Belongs here: what every step's pod is given, and what is refused before the first one. Not here: what single assets
are given (`launch.steps`), the Jobs of commands that load a model (`launcher`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.launch.k8s.manifest import JobRequest, job_manifest
from cpp_pipeline.launch.k8s.pods import (
    SCRATCH,
    SCRATCH_ENV,
    STAYS,
    container_security,
    placement,
    pod_security,
    require_digest,
    resources,
)
from cpp_pipeline.launch.k8s.refusals import refuse_local_root
from cpp_pipeline.launch.k8s.shapes import STEP_SETTING, Shape, shape_for
from cpp_pipeline.settings import Settings

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

_DAY = 24 * 3600
_KEPT_SECONDS = 120
"""How long a step's finished Job stays. A quota counts it; and a run that lost its own pod together with that of a step
starts the step anew by the same name: refused while the Job is there, it is taken up a second and a third time."""
_PATIENCE_SECONDS = 60.0
_SMALL = Shape("100m", "64Mi", disk="1Gi", shm="16Mi")


def step_config(settings: Settings) -> dict[str, Any]:
    """Configuration of the executor, from the settings.

    Raises
    ------
    ValueError
        Names the setting that does not fit.
    """
    require_digest(settings.k8s_image)
    own = {"load_incluster_config": False, "kubeconfig_file": settings.k8s_config} if settings.k8s_config else {}
    shape = shape_for(settings.step_shape, "", STEP_SETTING)
    # the ConfigMap may name another image before the run has ended, and a Job of another image is another Job
    env = {**SCRATCH_ENV, Settings.variable("k8s_image"): settings.k8s_image}
    return {
        "job_namespace": settings.k8s_namespace,
        "job_image": settings.k8s_image,
        "image_pull_policy": "IfNotPresent",
        "step_k8s_config": {
            "container_config": {
                "env": [{"name": name, "value": value} for name, value in env.items()],
                "resources": resources(shape),
                "securityContext": container_security(),
                # the machine's disk bounds it, by the container's limit
                "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
            },
            "pod_template_spec_metadata": {"annotations": STAYS},
            "pod_spec_config": {
                "enableServiceLinks": False,
                "securityContext": pod_security(),
                "volumes": [{"name": "scratch", "emptyDir": {}}],
                **placement(shape),
            },
            "job_spec_config": {
                "backoffLimit": 0,
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": 7 * _DAY,
                "ttlSecondsAfterFinished": _KEPT_SECONDS,
            },
        },
        **own,
    }


def share_of_a_run(bound: int, instance: dg.DagsterInstance) -> int | None:
    """Step pods that one run may have at a time, so that all runs together have at most `bound`; None: any number.

    Where the instance lets any number of runs work at a time, the bound is that of one run.

    Raises
    ------
    dagster.Failure
        There may be more runs than pods; names both settings.
    """
    queue = instance.get_concurrency_config().run_queue_config
    runs = max(1, queue.max_concurrent_runs) if queue else 1
    if bound and bound < runs:
        raise dg.Failure(
            f"CPP_PIPELINE_MAX_CONCURRENT={bound} bounds the step pods of all runs, and this Dagster instance lets "
            f"{runs} runs work at a time: set it to {runs} or more, or lower concurrency.runs.maxConcurrentRuns of "
            "k8s/dagster/values.yaml (max_concurrent_runs in dagster.yaml)"
        )
    return bound // runs or None


class SharingExecutor(dg.Executor):
    """Bounds the steps of a run, but for one that is taken up again: its replay has to find room for every step."""

    def __init__(self, make: Callable[[int | None], dg.Executor], share: int | None) -> None:
        self._make = make
        self._bounded = make(share)

    @property
    def retries(self) -> RetryMode:
        """As Dagster's executor."""
        return self._bounded.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As Dagster's executor."""
        return self._bounded.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Work on the steps of a run."""
        chosen = self._make(None) if plan_context.resume_from_failure else self._bounded
        yield from chosen.execute(plan_context, execution_plan)


def step_executor(settings: Settings, patience_seconds: float = _PATIENCE_SECONDS) -> dg.ExecutorDefinition:
    """The executor; it reaches for the cluster when a run begins, and refuses before the first step.

    Raises
    ------
    ValueError
        A setting does not fit, or the extra `k8s` is not installed.
    """
    try:
        from dagster_k8s import K8sRunLauncher, k8s_job_executor
    except ImportError as error:
        raise ValueError("CPP_PIPELINE_EXECUTOR=k8s needs `pip install 'cpp_pipeline[k8s]'`") from error
    make = k8s_job_executor.executor_creation_fn
    assert make is not None

    def checked(context: dg.InitExecutorContext) -> dg.Executor:
        if not isinstance(context.instance.run_launcher, K8sRunLauncher):
            raise dg.Failure(
                "CPP_PIPELINE_EXECUTOR=k8s, and the run launcher of this Dagster instance is no K8sRunLauncher: "
                "configure one (k8s/dagster/values.yaml does), or set CPP_PIPELINE_EXECUTOR=multiprocess"
            )
        share = share_of_a_run(settings.max_concurrent, context.instance)
        refuse_unusable_cluster(settings, patience_seconds)
        return SharingExecutor(
            lambda bound: make(context._replace(executor_config={**context.executor_config, "max_concurrent": bound})),
            share,
        )

    definition = dg.ExecutorDefinition(
        "k8s",
        config_schema=k8s_job_executor.config_schema,  # type: ignore[arg-type]
        requirements=k8s_job_executor.get_requirements,
        executor_creation_fn=checked,
        description="Steps as pods of a cluster.",
    )
    return definition.configured(step_config(settings), name="k8s")


def refuse_unusable_cluster(settings: Settings, patience_seconds: float) -> None:
    """Have the API server check a Job like those of steps, without making it.

    Raises
    ------
    dagster.Failure
        The cluster is out of reach or does not allow it, or its pods cannot reach the root; names the setting.
    """
    trial = JobRequest("step", settings.k8s_namespace, settings.k8s_image, ["true"], _SMALL)
    try:
        cluster = Cluster(settings.k8s_namespace, settings.k8s_config, patience_seconds)
        cluster.would_create(job_manifest(trial))
    except ClusterError as error:
        raise dg.Failure(f"CPP_PIPELINE_EXECUTOR=k8s, and no step can be started: {error}") from error
    refuse_local_root(settings.root, cluster.host)
