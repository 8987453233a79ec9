"""The Job controller: from Jobs to pods, from the end of pods to the end of Jobs.

Belongs here: completions, indexes, failure policies, back-off, deadlines, suspension, TTL.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cpp_pipeline_tests.cluster.objects import ApiError, Object, Objects, condition, has_condition, now
from cpp_pipeline_tests.cluster.podsecurity import admit
from cpp_pipeline_tests.cluster.validation import fill_in

TRACKING = "batch.kubernetes.io/job-tracking"
FOREGROUND = "foregroundDeletion"
INDEX = "batch.kubernetes.io/job-completion-index"
LONGEST_BACKOFF = 600.0


@dataclass
class Tally:
    """What the controller remembers of a Job between two looks."""

    failures: int = 0
    """Ended attempts that were no success, ignored ones too: the back-off doubles with each."""
    not_before: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    failing: tuple[str, str] | None = None
    by_index: Counter[int] = field(default_factory=Counter)
    succeeded: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)


class JobController:
    """Brings every Job on; `sync` is called with the lock held, whenever something changed and now and then."""

    def __init__(self, objects: Objects, backoff_seconds: float) -> None:
        self.objects = objects
        self.backoff_seconds = backoff_seconds
        self._tallies: dict[str, Tally] = {}

    def sync(self) -> None:
        """One look at all Jobs."""
        for job in self.objects.find("jobs", None):
            self._sync(job, self._tallies.setdefault(job["metadata"]["uid"], Tally()))
        for pod in self.objects.find("pods", None, self._is_orphan):
            pod["metadata"]["finalizers"].remove(TRACKING)
            self.objects.release("pods", pod)

    def _is_orphan(self, pod: Object) -> bool:
        owners = {o["uid"] for o in pod["metadata"].get("ownerReferences", [])}
        living = {j["metadata"]["uid"] for j in self.objects.find("jobs", pod["metadata"]["namespace"])}
        return TRACKING in pod["metadata"].get("finalizers", []) and not owners & living

    def _sync(self, job: Object, tally: Tally) -> None:
        before = copy.deepcopy((job["status"], job["metadata"].get("finalizers")))
        pods = self._pods(job)
        for pod in pods:
            if pod["status"]["phase"] in ("Succeeded", "Failed") and TRACKING in pod["metadata"]["finalizers"]:
                self._count(job, tally, pod)
                pod["metadata"]["finalizers"].remove(TRACKING)
                self.objects.release("pods", pod)
        if job["metadata"].get("deletionTimestamp"):
            self._delete(job)
            return
        if has_condition(job, "Complete") or has_condition(job, "Failed"):
            ttl = job["spec"].get("ttlSecondsAfterFinished")
            if ttl is not None and time.monotonic() - tally.ended >= ttl:
                job["metadata"] |= {"deletionTimestamp": now(), "finalizers": [FOREGROUND]}
                self.objects.touch("jobs", job)
            return
        self._decide(job, tally)
        self._steer(job, tally)
        if before != (job["status"], job["metadata"].get("finalizers")):
            self.objects.touch("jobs", job)

    def _pods(self, job: Object) -> list[Object]:
        uid = job["metadata"]["uid"]
        return self.objects.find(
            "pods",
            job["metadata"]["namespace"],
            lambda p: any(o["uid"] == uid for o in p["metadata"].get("ownerReferences", [])),
        )

    # -- ended pods ---------------------------------------------------------

    def _count(self, job: Object, tally: Tally, pod: Object) -> None:
        index = int(pod["metadata"]["annotations"].get(INDEX, "0"))
        status = job["status"]
        if pod["status"]["phase"] == "Succeeded":
            status["succeeded"] = status.get("succeeded", 0) + 1
            tally.succeeded.add(index)
            return
        tally.failures += 1
        wait = min(LONGEST_BACKOFF, self.backoff_seconds * 2 ** (tally.failures - 1))
        tally.not_before = time.monotonic() + wait
        action, message = _policy(job, pod)
        if action == "Ignore":
            return
        status["failed"] = status.get("failed", 0) + 1
        tally.by_index[index] += 1
        if action == "FailJob":
            tally.failing = ("PodFailurePolicy", message)
        elif action == "FailIndex" or tally.by_index[index] > job["spec"].get("backoffLimitPerIndex", 2**31):
            tally.failed.add(index)

    # -- the outcome --------------------------------------------------------

    def _decide(self, job: Object, tally: Tally) -> None:
        spec, status = job["spec"], job["status"]
        deadline = spec.get("activeDeadlineSeconds")
        if tally.failing is None:
            if status.get("failed", 0) > spec["backoffLimit"]:
                tally.failing = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
            elif deadline and tally.started and time.monotonic() - tally.started > deadline:
                tally.failing = ("DeadlineExceeded", "Job was active longer than specified deadline")
            elif len(tally.failed) > spec.get("maxFailedIndexes", 2**31):
                tally.failing = (
                    "MaxFailedIndexesExceeded",
                    "Job has exceeded the specified maximal number of failed indexes",
                )
            elif tally.failed and len(tally.failed | tally.succeeded) == spec["completions"]:
                tally.failing = ("FailedIndexes", "Job has failed indexes")
        if spec["completionMode"] == "Indexed":
            status["completedIndexes"] = ",".join(map(str, sorted(tally.succeeded)))
            if "backoffLimitPerIndex" in spec:
                status["failedIndexes"] = ",".join(map(str, sorted(tally.failed)))
        if tally.failing is not None:
            condition(job, "FailureTarget", "True", *tally.failing)
            for pod in self._active(job):
                delete_pod(self.objects, pod)
            if not self._living(job):
                self._finish(job, tally, "Failed", *tally.failing)
        elif status.get("succeeded", 0) >= spec["completions"] and not self._living(job):
            reached = ("CompletionsReached", "Reached expected number of succeeded pods")
            condition(job, "SuccessCriteriaMet", "True", *reached)
            status["completionTime"] = now()
            self._finish(job, tally, "Complete", *reached)

    def _finish(self, job: Object, tally: Tally, kind: str, reason: str, message: str) -> None:
        condition(job, kind, "True", reason, message)
        tally.ended = time.monotonic()
        for count in ("active", "ready", "terminating"):
            job["status"].pop(count, None)
        event = "Normal" if kind == "Complete" else "Warning"
        self.objects.event(event, job, "Completed" if kind == "Complete" else reason, message)

    # -- the pods that should be there --------------------------------------

    def _active(self, job: Object) -> list[Object]:
        return [p for p in self._living(job) if "deletionTimestamp" not in p["metadata"]]

    def _living(self, job: Object) -> list[Object]:
        return [p for p in self._pods(job) if p["status"]["phase"] in ("Pending", "Running")]

    def _steer(self, job: Object, tally: Tally) -> None:
        spec, status = job["spec"], job["status"]
        if tally.ended or tally.failing:
            return
        if spec["suspend"]:
            if condition(job, "Suspended", "True", "JobSuspended", "Job suspended"):
                self.objects.event("Normal", job, "Suspended", "Job suspended")
            status.pop("startTime", None)
            tally.started = 0.0
            for pod in self._active(job):
                pod["metadata"]["finalizers"].remove(TRACKING)  # so its end counts for nothing
                delete_pod(self.objects, pod)
        else:
            if has_condition(job, "Suspended"):
                condition(job, "Suspended", "False", "JobResumed", "Job resumed")
            if not tally.started:
                tally.started, status["startTime"] = time.monotonic(), now()
            if time.monotonic() >= tally.not_before:
                self._create_pods(job, tally)
        active, living = self._active(job), self._living(job)
        ready = sum(p["status"]["phase"] == "Running" for p in active)
        for name, count in (("active", len(active)), ("ready", ready), ("terminating", len(living) - len(active))):
            if count or name != "active":
                status[name] = count
            else:
                status.pop(name, None)

    def _create_pods(self, job: Object, tally: Tally) -> None:
        spec = job["spec"]
        active, living = self._active(job), self._living(job)
        there = living if spec["podReplacementPolicy"] == "Failed" else active
        if spec["completionMode"] == "Indexed":
            taken = {int(p["metadata"]["annotations"][INDEX]) for p in there} | tally.succeeded | tally.failed
            wanted: list[Any] = [i for i in range(spec["completions"]) if i not in taken]
        else:
            wanted = [None] * (spec["completions"] - job["status"].get("succeeded", 0) - len(there))
        for index in wanted[: max(0, spec["parallelism"] - len(there))]:
            try:
                self._create_pod(job, index, tally)
            except ApiError as error:
                self.objects.event("Warning", job, "FailedCreate", f"Error creating: {error.message}")
                tally.failures += 1
                tally.not_before = time.monotonic() + self.backoff_seconds * 2 ** (tally.failures - 1)
                return

    def _create_pod(self, job: Object, index: int | None, tally: Tally) -> None:
        meta, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        labels, annotations = template["metadata"]["labels"], template["metadata"].get("annotations", {})
        prefix = f"{meta['name']}-"
        if index is not None:
            labels[INDEX] = annotations[INDEX] = str(index)
            prefix += f"{index}-"
            template["spec"]["hostname"] = f"{meta['name']}-{index}"
            for container in template["spec"]["containers"]:
                container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": str(index)})
            if "backoffLimitPerIndex" in job["spec"]:
                annotations["batch.kubernetes.io/job-index-failure-count"] = str(tally.by_index[index])
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        pod: Object = {
            "metadata": {
                "generateName": prefix,
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [{**owner, "blockOwnerDeletion": True}],
                "finalizers": [TRACKING],
            },
            "spec": template["spec"],
        }
        fill_in("pods", pod)
        admit(pod, self.objects.get("namespaces", "", meta["namespace"]))
        self.objects.add("pods", pod)
        self.objects.event("Normal", job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    # -- deletion -----------------------------------------------------------

    def _delete(self, job: Object) -> None:
        for pod in self._pods(job):
            delete_pod(self.objects, pod)
        if not self._pods(job) and FOREGROUND in job["metadata"].get("finalizers", []):
            job["metadata"]["finalizers"].remove(FOREGROUND)
            self.objects.release("jobs", job)


def delete_pod(objects: Objects, pod: Object, grace_seconds: float | None = None) -> None:
    """Ask a pod to end; one that never started, or has ended, is gone at once. The caller holds the lock."""
    meta, status = pod["metadata"], pod["status"]
    if "deletionTimestamp" not in meta:
        grace = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
        meta |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace}
        if status["phase"] == "Pending":
            status["phase"] = "Failed"
        objects.release("pods", pod)


def _policy(job: Object, pod: Object) -> tuple[str, str]:
    """What the first fitting rule of the podFailurePolicy asks for, with the server's words."""
    ended = [s for s in pod["status"].get("containerStatuses", []) if "terminated" in s["state"]]
    place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for number, rule in enumerate(job["spec"].get("podFailurePolicy", {}).get("rules", [])):
        codes = rule.get("onExitCodes")
        for status in ended if codes else ():
            code = status["state"]["terminated"]["exitCode"]
            named = codes.get("containerName", status["name"]) == status["name"]
            if code and named and (code in codes["values"]) == (codes["operator"] == "In"):
                what = f"Container {status['name']} for pod {place} failed with exit code {code}"
                return rule["action"], f"{what} matching {rule['action']} rule at index {number}"
        for pattern in rule.get("onPodConditions", []):
            if has_condition(pod, pattern["type"]):
                what = f"Pod {place} has condition {pattern['type']}"
                return rule["action"], f"{what} matching {rule['action']} rule at index {number}"
    return "Count", ""
