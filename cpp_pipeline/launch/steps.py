"""How a Dagster run works on its steps, by the settings.

`in_process`, the default, since a step costs less than an import; `multiprocess` on one large machine; `k8s`, where
each step is a pod. `cpp-pipeline run` is one process whatever is set: this is for runs of a Dagster instance (the UI,
backfills, sensors).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg

from cpp_pipeline.launch.k8s.pods import placement
from cpp_pipeline.launch.k8s.pods import resources as resources_of
from cpp_pipeline.launch.k8s.shapes import STEP_SETTING, WATCH_SETTING, shape_for
from cpp_pipeline.settings import Settings

_RETRY_SECONDS = 30.0
_LOST_PODS = 10
"""How often a step that watches a Job for days may lose its pod to nodes that are upgraded: the next one follows it."""


def executor(settings: Settings) -> dg.ExecutorDefinition:
    """The executor of all jobs; reaches for nothing yet.

    Raises
    ------
    ValueError
        Names the setting that does not fit.
    """
    if settings.max_concurrent < 0:
        raise ValueError(f"CPP_PIPELINE_MAX_CONCURRENT={settings.max_concurrent}: use 0 or more")
    if settings.executor == "in_process":
        return dg.in_process_executor
    if settings.executor == "multiprocess":
        return dg.multiprocess_executor.configured({"max_concurrent": settings.max_concurrent}, name="multiprocess")
    if settings.executor == "k8s":
        from cpp_pipeline.launch.k8s.executor import step_executor

        return step_executor(settings)
    raise ValueError(f"CPP_PIPELINE_EXECUTOR={settings.executor!r}: use in_process, multiprocess or k8s")


class StepOptions(NamedTuple):
    """Arguments of the decorator of an asset or a check."""

    retry_policy: dg.RetryPolicy | None
    op_tags: dict[str, Any] | None
    job_retries: int | None = None
    """Tries of which a failed Job may be the end, where lost pods have more; None: as many as there are."""


def step_options(
    step: str, settings: Settings | None = None, *, resources: Collection[str] = (), is_check: bool = False
) -> StepOptions:
    """What the step of an asset or a check is given: retries, and with the executor `k8s` a machine.

    `step` is the name of its op, of a check `ASSET_CHECK`; `resources` are those that it requires.

    Raises
    ------
    ValueError
        Names the setting that does not fit.
    """
    settings = settings or Settings.from_env()
    policy, tags, job_retries = None, None, None
    if settings.step_retries:
        policy = dg.RetryPolicy(settings.step_retries, delay=_RETRY_SECONDS, backoff=dg.Backoff.EXPONENTIAL)
    if settings.executor == "k8s":
        waits = not is_check and settings.launcher == "k8s" and "launcher" in resources
        retries = max(settings.step_retries, _LOST_PODS) if waits else settings.step_retries
        # At once, since Dagster 1.13 cannot take up again a run of which a step has waited; a new pod takes its time.
        policy = policy and dg.RetryPolicy(retries)
        job_retries = settings.step_retries if policy and waits else None
        is_small = is_check or waits
        setting, name = (settings.watch_shape, WATCH_SETTING) if is_small else (settings.step_shape, STEP_SETTING)
        shape = shape_for(setting, step, name)
        machine = {
            "container_config": {"resources": resources_of(shape)},
            "pod_spec_config": {"nodeSelector": {}, "tolerations": [], **placement(shape)},
            # its keys replace those of the executor: a step that is not for Spot keeps nothing of one that is
            "merge_behavior": "SHALLOW",
        }
        tags = {"dagster-k8s/config": machine}
    return StepOptions(policy, tags, job_retries)


@contextmanager
def not_tried_again(step: StepOptions) -> Iterator[None]:
    """Where steps are tried again, what has to be changed first ends them: this project's `ValueError`s say that.

    A step that may lose its pod more often than `CPP_PIPELINE_STEP_RETRIES` says is ended by a Job that fails after so
    many tries.
    """
    try:
        yield
    except dg.Failure as error:
        if step.job_retries is None or dg.AssetExecutionContext.get().retry_number < step.job_retries:
            raise
        raise dg.Failure(error.description, error.metadata, allow_retries=False) from error
    except ValueError as error:
        if step.retry_policy is None:
            raise
        raise dg.Failure(str(error), allow_retries=False) from error
