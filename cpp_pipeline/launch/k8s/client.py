"""`PipesK8sJobClient`: one Job, from its creation to its end, as Dagster Pipes.

The Job is watched, not one pod: its pods may be evicted and replaced. What the trainer has committed to storage
decides whether the work is done; messages of the pods only tell people how it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.launch.k8s.manifest import Manifest, with_env
from cpp_pipeline.launch.k8s.messages import PodLogReader
from cpp_pipeline.launch.k8s.watching import IMAGE_SECONDS, Bounds, WatchedJob


class PipesK8sJobClient(dg.PipesClient):
    """Runs a Job until the work is done.

    Parameters
    ----------
    pending_seconds
        How long the Job may be without a running pod. Time in a queue (suspended) does not count.
    tick_seconds
        Longest time between two looks.
    image_seconds
        How long its pods may be without their image.
    in_pod
        This is a pod itself, and interrupted when it is taken away as it is when the run is cancelled. Unless the run
        is, the Job then goes on: the step's next try follows it.
    """

    def __init__(
        self,
        cluster: Cluster,
        pending_seconds: float = 1800.0,
        tick_seconds: float = 5.0,
        image_seconds: float = IMAGE_SECONDS,
        in_pod: bool = False,
    ) -> None:
        self.cluster = cluster
        self.bounds = Bounds(pending_seconds, tick_seconds, image_seconds)
        self.in_pod = in_pod

    def run(  # type: ignore[override]
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        manifests: Sequence[Manifest],
        is_done: Callable[[], bool],
        extras: dict[str, Any] | None = None,
    ) -> dg.PipesClientCompletedInvocation:
        """Create the Job, or adopt the one that an earlier attempt of this step made, and see it to its end.

        Parameters
        ----------
        manifests
            The Job, and what else has to be there while it runs.
        is_done
            Whether the result is committed. Asked when the Job has ended, whatever its end was.

        Raises
        ------
        dagster.Failure
            No result was committed; the metadata hold exit codes, reasons, last lines and events.
        ClusterError
            The cluster refuses. Where it cannot be reached, the Job is left as it is.
        """
        reader = PodLogReader()
        session_context = dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesEnvContextInjector(),
            message_reader=reader,
            extras=extras,
        )
        with session_context as session:
            job = with_env(manifests[0], session.get_bootstrap_env_vars())
            watched = WatchedJob(self.cluster, self.bounds, context, job, reader.take)
            try:
                watched.submit(manifests[1:])
                watched.see_to_its_end(is_done)
            except (dg.Failure, ClusterError, dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
                if watched.is_there and not self._leaves(context, error):
                    watched.delete(because=type(error).__name__)
                    watched.logs.finish()
                raise
            finally:
                watched.logs.stop()
        return dg.PipesClientCompletedInvocation(session, metadata=watched.metadata())

    def _leaves(self, context: dg.AssetExecutionContext | dg.OpExecutionContext, error: BaseException) -> bool:
        """Whether the Job goes on without this step, for its next try; sensors end the Jobs of runs that have none."""
        if isinstance(error, ClusterError):
            return error.passes or error.status in (0, 401)  # it could not be deleted either
        if isinstance(error, dg.Failure) or not self.in_pod:
            return False
        run = context.instance.get_run_by_id(context.run.run_id)
        cancelled = run is None or run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
        if not cancelled:
            context.log.warning("this pod is taken away, the run is not cancelled: the Job goes on")
        return not cancelled
