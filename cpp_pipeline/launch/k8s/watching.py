"""One Job while a step waits for it.

Belongs here: making or adopting it, waiting with bounds, and what a failure tells. Not here: when it is deleted
(`client`), and what its objects say (`findings`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cpp_pipeline.launch.k8s import findings
from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.launch.k8s.logs import PodLogs
from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY, Manifest

IDENTITY = "cpp-pipeline/identity"
"""Annotation: what the Job does. One of the same name that does something else is not adopted."""
IMAGE_SECONDS = 180.0
"""Pulling an image may fail in passing, so a few of the kubelet's growing pauses (10 s, 20 s, 40 s) are let go by."""
_GONE_SECONDS = 600.0


@dataclass(frozen=True)
class Bounds:
    """How long to wait, see `PipesK8sJobClient`."""

    pending_seconds: float
    tick_seconds: float
    image_seconds: float


class WatchedJob:
    """One Job, made or adopted."""

    def __init__(
        self,
        cluster: Cluster,
        bounds: Bounds,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        manifest: Manifest,
        sink: Callable[[str, str], None],
    ) -> None:
        self.cluster, self.bounds, self.context, self.manifest = cluster, bounds, context, manifest
        self.name: str = manifest["metadata"]["name"]
        self.logs = PodLogs(self.cluster, sink)
        self.ends: dict[str, findings.PodEnd] = {}
        self.is_there = False
        """Whether the Job was made or adopted."""
        spec = manifest["spec"]
        self._image: str = spec["template"]["spec"]["containers"][0]["image"]
        self._nodes: int = spec["parallelism"] if "subdomain" in spec["template"]["spec"] else 1
        """Pods that have to run at once."""
        self._has_run = False
        self._since: dict[str, float] = {}
        self._told: list[str] = []
        self._seen: set[str] = set()

    def submit(self, more: Sequence[Manifest]) -> None:
        """Create the Job or adopt the one of this name; then what it needs, which goes when it goes."""
        created = self.cluster.create(self.manifest)
        if created is None:
            created = self._adopt()
        self.is_there = True
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
            time.sleep(min(1.0, self.bounds.tick_seconds))
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
            self._seen |= pods.keys()
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
            seconds = self.bounds.tick_seconds if left else min(1.0, self.bounds.tick_seconds)
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
        """Bound the time without the pods that it needs, and tell why there are none."""
        running = sum(map(findings.is_running, left))
        self._has_run |= running > 0 or bool(self.ends)
        done = sum(end.exit_code == 0 for end in self.ends.values()) if self._nodes > 1 else 0
        waits = not findings.is_suspended(job) and running + done < self._nodes
        waited = self._seconds("pods", waits)
        # once a pod has run, the image is the right one, and what keeps the next pod from it may pass
        without_image = self._seconds("image", waits and not self._has_run and findings.lack_image(left))
        if not waits:
            return
        reasons = findings.waiting_reasons(left, [] if len(left) >= self._nodes else self._events(self.name))
        if reasons and reasons != self._told:
            self._told = reasons
            self.context.log.warning(f"Job {self.name} waits: {'; '.join(reasons)}")
        why = "; ".join(reasons) or "the cluster gives no reason"
        if without_image > self.bounds.image_seconds:
            raise dg.Failure(
                f"Job {self.name} cannot have its image {self._image}: {why}. CPP_PIPELINE_K8S_IMAGE names the image; "
                "is it in that registry, and may the nodes read it?",
                metadata=self._evidence(findings.End(False, "NoImage", why)),
                allow_retries=False,
            )
        if waited > self.bounds.pending_seconds:
            which = f"fewer than {self._nodes} running pods" if self._nodes > 1 else "no running pod"
            raise dg.Failure(
                f"Job {self.name} had {which} for {self.bounds.pending_seconds:.0f} s: {why}. "
                "CPP_PIPELINE_K8S_SHAPE names the machine, CPP_PIPELINE_K8S_PENDING_SECONDS bounds the wait.",
                metadata=self._evidence(findings.End(False, "Pending", why)),
            )

    def _seconds(self, state: str, holds: bool) -> float:
        """For how long something has been so without a break."""
        if not holds:
            self._since.pop(state, None)
            return 0.0
        now = time.monotonic()
        return now - self._since.setdefault(state, now)

    def _judge(self, end: findings.End, is_done: Callable[[], bool]) -> None:
        if is_done():
            if not end.succeeded:
                self.context.log.warning(f"the result is committed, though the Job ended with {end.reason}")
            return
        if end.succeeded:
            message = f"Job {self.name} ended with exit code 0 and committed no result; see the last lines of its log"
            end = findings.End(False, "NoResult", message)
        final = [e.pod for e in self.ends.values() if e.exit_code in DO_NOT_RETRY]
        # what no other try can mend is said last, by who knows what has to be changed
        said = [line for pod in final for line in self.logs.tail(pod)[-1:]]
        raise dg.Failure(
            f"Job {self.name} failed: {': '.join([end.reason, end.message, *said[:1]])}",
            metadata=self._evidence(end),
            allow_retries=not final,
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
        failed = [e for e in self.ends.values() if e.exit_code]
        return {
            **self.metadata(),
            "reason": end.reason,
            "message": end.message,
            "ends": dg.MetadataValue.json([str(e) for e in self.ends.values()]),
            **({"exit_code": failed[-1].exit_code} if failed else {}),
            "last_lines": dg.MetadataValue.md("```\n" + "\n".join(self.logs.tail(last)) + "\n```"),
            "events": dg.MetadataValue.json(findings.told(self._events(self.name, *sorted(self._seen)))),
        }

    def _events(self, *names: str) -> list[findings.Object]:
        """What the cluster says of its Job and pods; one that does not tell must neither end nor hide anything."""
        try:
            return [event for name in names for event in self.cluster.events(name)]
        except ClusterError as error:
            return [{"type": "Warning", "reason": "Unreadable", "message": f"the cluster could not be asked: {error}"}]
