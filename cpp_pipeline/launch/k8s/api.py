"""The calls of the Kubernetes API that are used, on plain dicts.

Belongs here: reaching the cluster, patience with an API server that is away, errors that name the setting.
The library is imported when a cluster is opened, so that loading the definitions does without it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from cpp_pipeline.apiserver import NoCluster, may_pass, no_answer, open_client, reason, refusal, unanswered
from cpp_pipeline.launch.k8s.manifest import CONTAINER, Manifest

logger = logging.getLogger(__name__)
RIGHTS = {
    "jobs": ("create", "get", "list", "delete"),
    "pods": ("list", "watch"),
    "pods/log": ("get",),
    "events": ("list",),
    "services": ("create",),
}
"""All that the launcher's Role has to allow in its namespace; `jobs` are of the API group `batch`."""
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0
_QUIET_SECONDS = 300.0
"""A log that says nothing for so long is asked for again: its connection may have been lost."""
_GONE = 410
_REMEDY = {
    403: "this account lacks the right: bind it to the launcher's Role in the namespace of CPP_PIPELINE_K8S_NAMESPACE",
    404: "is there a namespace of the name in CPP_PIPELINE_K8S_NAMESPACE?",
}


class ClusterError(RuntimeError):
    """The cluster refuses or cannot be reached; the message says which setting to look at."""

    def __init__(self, message: str, status: int = 0, passes: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.passes = passes
        """Whether the same may succeed later."""


class Cluster:
    """One namespace of a cluster.

    Parameters
    ----------
    config
        Path of a kubeconfig file; empty means the usual places, then the account of the pod that this runs in.
    patience_seconds
        How long an API server may be away (a zonal control plane is, while it is upgraded).
    first_seconds
        How long one may be that has answered nothing yet: a wrong address should not take so long to tell.

    Raises
    ------
    ClusterError
        The library is missing, or there is no configuration of a cluster.
    """

    def __init__(
        self, namespace: str, config: str = "", patience_seconds: float = 600.0, first_seconds: float = 30.0
    ) -> None:
        try:
            from kubernetes import client

            api = open_client(config)
        except ImportError as error:
            raise ClusterError("CPP_PIPELINE_LAUNCHER=k8s needs `pip install 'cpp_pipeline[k8s]'`") from error
        except NoCluster as error:
            raise ClusterError(str(error)) from error
        self.namespace = namespace
        self.patience_seconds, self.first_seconds = patience_seconds, min(first_seconds, patience_seconds)
        self.host: str = api.configuration.host
        self._met = self._away = False
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    # -- objects ------------------------------------------------------------

    def create(self, manifest: Manifest) -> Manifest | None:
        """Create a Job or Service; None when one of this name is there."""
        make = {"Job": self._batch.create_namespaced_job, "Service": self._core.create_namespaced_service}
        try:
            # an answer that was lost may mean that it was done: the next try then gets 409
            return self._patiently(lambda: make[manifest["kind"]](self.namespace, manifest, **_raw()))
        except ClusterError as error:
            if error.status == 409:
                return None
            raise

    def would_create(self, job: Manifest) -> None:
        """Have the server check a Job and the right to create it, without making it.

        Raises
        ------
        ClusterError
            It would be refused.
        """
        options = {"dry_run": "All", **_raw()}
        self._patiently(lambda: self._batch.create_namespaced_job(self.namespace, job, **options))

    def job(self, name: str) -> Manifest | None:
        """A Job as it is now, or None."""
        try:
            return self._patiently(lambda: self._batch.read_namespaced_job(name, self.namespace, **_raw()))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def jobs(self, selector: str) -> list[Manifest]:
        """Jobs with these labels."""
        listed = self._patiently(
            lambda: self._batch.list_namespaced_job(self.namespace, label_selector=selector, **_raw())
        )
        return list(listed["items"])

    def delete_job(self, name: str) -> None:
        """Delete a Job and its pods; it goes when they have ended. One that is not there is fine."""
        options = {"propagation_policy": "Foreground", **_raw()}
        try:
            self._patiently(lambda: self._batch.delete_namespaced_job(name, self.namespace, **options))
        except ClusterError as error:
            if error.status != 404:
                raise

    def pods(self, job: str) -> tuple[list[Manifest], str]:
        """A Job's pods, oldest first, and the version from which `next_pod` goes on."""
        options = {"label_selector": f"batch.kubernetes.io/job-name={job}", **_raw()}
        listed = self._patiently(lambda: self._core.list_namespaced_pod(self.namespace, **options))
        found = sorted(listed["items"], key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"]))
        return found, listed["metadata"]["resourceVersion"]

    def next_pod(self, job: str, version: str, seconds: float) -> tuple[Manifest | None, str]:
        """The next state of any pod of a Job, the last one of a pod that goes included, and its version.

        (None, version) when nothing changed for so many seconds; (None, "") when the API server cannot say what
        changed, and the pods have to be listed again.
        """
        from kubernetes import watch

        options: dict[str, Any] = {
            "label_selector": f"batch.kubernetes.io/job-name={job}",
            "resource_version": version,
            "timeout_seconds": max(1, round(seconds)),
            "_request_timeout": (_CONNECT_SECONDS, seconds + _READ_SECONDS),
        }
        try:
            event = next(watch.Watch().stream(self._core.list_namespaced_pod, self.namespace, **options), None)
        except Exception as error:
            if getattr(error, "status", 0) != _GONE and not may_pass(error):
                raise self._told(error) from error
            time.sleep(min(1.0, seconds))
            return None, ""
        if event is None:
            return None, version
        pod: Manifest = event["raw_object"]
        if event["type"] == "DELETED" and pod["status"].get("phase") in ("Pending", "Running"):
            pod["status"] |= {"phase": "Failed", "reason": "the pod was removed by force"}
        return pod, pod["metadata"]["resourceVersion"]

    def events(self, name: str) -> list[Manifest]:
        """Events about the object of a name, oldest first."""
        about = f"involvedObject.name={name}"
        listed = self._patiently(
            lambda: self._core.list_namespaced_event(self.namespace, field_selector=about, **_raw())
        )
        return sorted(listed["items"], key=lambda e: e.get("lastTimestamp") or e["metadata"]["creationTimestamp"])

    def log(self, pod: str, since_seconds: int | None) -> Iterator[str]:
        """Lines `<time stamp> <text>` of a pod's container, until it ends or the connection does.

        Raises
        ------
        ClusterError
            The log is refused, or the server is away; once lines come, errors are those of the connection.
        """
        options: dict[str, Any] = {} if since_seconds is None else {"since_seconds": since_seconds}
        options |= {"container": CONTAINER, "follow": True, "timestamps": True}
        # with preloading, 36.0 gives the text of a bytes literal
        options |= {"_preload_content": False, "_request_timeout": (_CONNECT_SECONDS, _QUIET_SECONDS)}
        try:
            answer = self._core.read_namespaced_pod_log(pod, self.namespace, **options)
        except Exception as error:
            raise self._told(error) from error
        rest = b""
        try:
            for block in answer.stream(decode_content=False):
                *lines, rest = (rest + block).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        finally:
            answer.release_conn()
        if rest:
            yield rest.decode(errors="replace")

    # -- errors -------------------------------------------------------------

    def _patiently(self, call: Callable[[], Any]) -> Manifest:
        """Call until it is answered; trouble that passes is waited out."""
        began, wait = time.monotonic(), 0.2
        while True:
            try:
                found = _decoded(call())
            except Exception as error:
                passes = may_pass(error)
                if not (passes or unanswered(error)):
                    self._note_answer()
                left = began + (self.patience_seconds if self._met else self.first_seconds) - time.monotonic()
                if not passes or wait > left:
                    raise self._told(error) from error
                self._note_silence(error, left)
            else:
                self._note_answer()
                return found
            time.sleep(wait)
            wait = min(10.0, wait * 2)

    def _note_answer(self) -> None:
        if self._away:
            logger.warning("the API server %s answers again", self.host)
        self._met, self._away = True, False

    def _note_silence(self, error: Exception, seconds: float) -> None:
        if not self._away:
            words = "the API server %s does not answer (%s): it is asked again for up to %.0f s"
            logger.warning(words, self.host, reason(error), seconds)
        self._away = True

    def _told(self, error: Exception) -> Exception:
        from kubernetes.client import ApiException

        if isinstance(error, ApiException) and error.status:
            message = "\n  ".join(filter(None, refusal(error, _REMEDY)))
            text = f"{self.host}, namespace {self.namespace}: {message}"
            return ClusterError(text, int(error.status), may_pass(error))
        if unanswered(error):
            return ClusterError(no_answer(self.host, error), passes=may_pass(error))
        return error


def _raw() -> dict[str, Any]:
    return {"_preload_content": False, "_request_timeout": (_CONNECT_SECONDS, _READ_SECONDS)}


def _decoded(answer: Any) -> Manifest:
    return dict(json.loads(answer.data))
