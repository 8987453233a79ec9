"""`PipesK8sJobClient`: one Job, from its creation to its end, as Dagster Pipes.

The Job is watched, not one pod: its pods may be evicted and replaced. What the trainer has committed to storage
decides whether the work is done; messages of the pods only tell people how it goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg

from cpp_pipeline.launch.k8s import findings
from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.launch.k8s.logs import PodLogs
from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, Manifest, with_env
from cpp_pipeline.launch.k8s.messages import PodLogReader

IDENTITY = "cpp-pipeline/identity"
"""Annotation: what the Job does. One of the same name that does something else is not adopted."""
_GONE_SECONDS = 600.0


class PipesK8sJobClient(dg.PipesClient):
    """Runs a Job until the work is done.

    Parameters
    ----------
    pending_seconds
        How long the Job may be without a running pod. Time in a queue (suspended) does not count.
    tick_seconds
        Longest time between two looks.
    """

    def __init__(self, cluster: Cluster, pending_seconds: float = 1800.0, tick_seconds: float = 5.0) -> None:
        self.cluster = cluster
        self.pending_seconds = pending_seconds
        self.tick_seconds = tick_seconds

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
            watched = _WatchedJob(self, context, job, reader)
            watched.submit(manifests[1:])
            try:
                watched.see_to_its_end(is_done)
            except (dg.Failure, dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
                watched.delete(because=type(error).__name__)
                raise
            finally:
                watched.logs.finish()
        return dg.PipesClientCompletedInvocation(session, metadata=watched.metadata())


class _WatchedJob:
    """One Job while `run` is at it."""

    def __init__(
        self,
        client: PipesK8sJobClient,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        manifest: Manifest,
        reader: PodLogReader,
    ) -> None:
        self.client, self.cluster, self.context, self.manifest = client, client.cluster, context, manifest
        self.name: str = manifest["metadata"]["name"]
        self.logs = PodLogs(self.cluster, reader.take)
        self.ends: dict[str, findings.PodEnd] = {}
        self._waiting_since: float | None = None
        self._told: list[str] = []

    def submit(self, more: Sequence[Manifest]) -> None:
        """Create the Job or adopt the one of this name; then what it needs, which goes when it goes."""
        created = self.cluster.create(self.manifest)
        if created is None:
            created = self._adopt()
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": created["metadata"]["uid"]}
        for manifest in more:
            self.cluster.create({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}})

    def _adopt(self) -> Manifest:
        deadline = time.monotonic() + _GONE_SECONDS
        while (found := self.cluster.job(self.name)) is not None:
            if "deletionTimestamp" not in found["metadata"]:
                break
            if time.monotonic() > deadline:
                raise dg.Failure(f"Job {self.name} is being deleted for more than {_GONE_SECONDS:.0f} s: see its pods")
            time.sleep(min(1.0, self.client.tick_seconds))
        if found is None:
            self.context.log.info(f"the earlier Job {self.name} is gone: making it again")
            return self.cluster.create(self.manifest) or self._adopt()
        wanted = self.manifest["metadata"]["annotations"].get(IDENTITY)
        if found["metadata"].get("annotations", {}).get(IDENTITY) != wanted:
            raise dg.Failure(
                f"there is a Job {self.name} in {self.cluster.namespace} that does something else: "
                "it is not this project's, or the image changed meanwhile; delete it, or run again"
            )
        self.context.log.info(f"Job {self.name} is there already: following it instead of starting another")
        return found

    def see_to_its_end(self, is_done: Callable[[], bool]) -> None:
        """Watch until the Job has ended; then let the committed result decide."""
        pods: dict[str, findings.Object] = {}
        version = ""
        while True:
            job = self.cluster.job(self.name)
            end = findings.End(False, "Deleted", "somebody deleted the Job") if job is None else findings.end_of(job)
            if end is not None or not version:
                listed, version = self.cluster.pods(self.name)
                known = {n: p for n, p in pods.items() if findings.has_ended(p)}
                pods = known | {p["metadata"]["name"]: p for p in listed}
            self.logs.look_at(list(pods.values()))
            self._note_ends(pods.values())
            if end is not None:
                self.logs.finish()
                self._judge(end, is_done)
                return
            assert job is not None
            left = [p for p in pods.values() if not findings.has_ended(p)]
            self._check_waiting(job, left)
            # a Job tells its end a moment after its last pod's
            seconds = self.client.tick_seconds if left else min(1.0, self.client.tick_seconds)
            changed, version = self.cluster.next_pod(self.name, version, seconds)
            if changed is not None:
                pods[changed["metadata"]["name"]] = changed

    def _note_ends(self, pods: Iterable[findings.Object]) -> None:
        for end in filter(None, map(findings.pod_end, pods)):
            if end.pod not in self.ends:
                self.ends[end.pod] = end
                if end.exit_code != 0:
                    self.context.log.warning(f"attempt ended: {end}")

    def _check_waiting(self, job: findings.Object, left: list[findings.Object]) -> None:
        """Bound the time without a running pod, and tell why there is none."""
        if findings.is_suspended(job) or any(findings.is_running(p) for p in left):
            self._waiting_since = None
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        reasons = findings.waiting_reasons(left, [] if left else self.cluster.events(self.name))
        if reasons and reasons != self._told:
            self._told = reasons
            self.context.log.warning(f"Job {self.name} waits: {'; '.join(reasons)}")
        if now - self._waiting_since > self.client.pending_seconds:
            why = "; ".join(reasons) or "the cluster gives no reason"
            raise dg.Failure(
                f"Job {self.name} had no running pod for {self.client.pending_seconds:.0f} s: {why}. "
                "CPP_PIPELINE_K8S_SHAPE names the machine, CPP_PIPELINE_K8S_PENDING_SECONDS bounds the wait.",
                metadata=self._evidence(findings.End(False, "Pending", why)),
            )

    def _judge(self, end: findings.End, is_done: Callable[[], bool]) -> None:
        if is_done():
            if not end.succeeded:
                self.context.log.warning(f"the result is committed, though the Job ended with {end.reason}")
            return
        if end.succeeded:
            message = f"Job {self.name} ended with exit code 0 and committed no result; see the last lines of its log"
            end = findings.End(False, "NoResult", message)
        codes = [e.exit_code for e in self.ends.values()]
        raise dg.Failure(
            f"Job {self.name} failed: {end.reason}: {end.message}",
            metadata=self._evidence(end),
            allow_retries=not set(codes) & set(DO_NOT_RETRY),
        )

    def delete(self, because: str) -> None:
        """Delete the Job and its pods; what the cluster has against it must not hide why."""
        self.context.log.info(f"deleting Job {self.name} and its pods ({because})")
        try:
            self.cluster.delete_job(self.name)
        except ClusterError as error:
            self.context.log.error(f"Job {self.name} could not be deleted, delete it by hand: {error}")

    def metadata(self) -> dict[str, Any]:
        """Where it ran."""
        return {"k8s_job": self.name, "k8s_namespace": self.cluster.namespace, "attempts": len(self.ends)}

    def _evidence(self, end: findings.End) -> dict[str, Any]:
        last = self.logs.newest
        events = self.cluster.events(self.name)
        for pod in {*self.ends, *(p["metadata"]["name"] for p in self.cluster.pods(self.name)[0])}:
            events += self.cluster.events(pod)
        failed = [e for e in self.ends.values() if e.exit_code]
        return {
            **self.metadata(),
            "reason": end.reason,
            "message": end.message,
            "ends": dg.MetadataValue.json([str(e) for e in self.ends.values()]),
            **({"exit_code": failed[-1].exit_code} if failed else {}),
            "last_lines": dg.MetadataValue.md("```\n" + "\n".join(self.logs.tail(last)) + "\n```"),
            "events": dg.MetadataValue.json(findings.told(events)),
        }
