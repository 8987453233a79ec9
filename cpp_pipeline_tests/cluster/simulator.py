"""A cluster in this process: API server, controllers, scheduler and kubelet, on a port of loopback."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernetes import client

from cpp_pipeline_tests.cluster import scheduling, validation
from cpp_pipeline_tests.cluster.http import Server
from cpp_pipeline_tests.cluster.jobs import FOREGROUND, JobController, delete_pod
from cpp_pipeline_tests.cluster.kubelet import Kubelet
from cpp_pipeline_tests.cluster.objects import ApiError, Object, Objects, condition, now
from cpp_pipeline_tests.cluster.podsecurity import LABEL, admit
from cpp_pipeline_tests.cluster.sandboxes import SandboxController

GPU = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
GPU_TAINT = "nvidia.com/gpu"
NODES = (scheduling.Node("cpu-0"), scheduling.Node("gpu-0", gpus=1, labels=GPU, taints=(GPU_TAINT,)))
SYNC_SECONDS = 0.05


class Simulator:
    """The simulated cluster; a context manager.

    Parameters
    ----------
    folder
        Where volumes of pods lie.
    backoff_seconds
        Wait before the first replacement of a failed pod; a real cluster takes 10 s and doubles it as this does.
    """

    def __init__(self, folder: Path, nodes: Sequence[scheduling.Node] = NODES, backoff_seconds: float = 0.3) -> None:
        self.objects = Objects()
        self.nodes = nodes
        self.kubelet = Kubelet(self.objects, folder)
        self.jobs = JobController(self.objects, backoff_seconds)
        self.sandboxes = SandboxController(self.objects)
        self.denied: set[tuple[str, str]] = set()
        """(verb, resource) that the caller's account may not, as ("create", "jobs") or ("get", "pods/log")."""
        self.allowed: dict[str, Sequence[str]] | None = None
        """Resource -> verbs of an account that may nothing else; None for one that may everything."""
        self.broken = False
        """The API server answers nothing but 503."""
        self.drop_logs = False
        """Logs that are being followed end early, as they do when a connection is lost."""
        self.stopped = False
        self._server = Server(self)

    def __enter__(self) -> Simulator:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self._control, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        self.kubelet.stop()
        self._server.shutdown()
        self._server.server_close()

    def api_client(self) -> client.ApiClient:
        """A real client for this cluster."""
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        configuration.retries = False
        return client.ApiClient(configuration)

    def kubeconfig(self) -> dict[str, Any]:
        """What a kubeconfig file for this cluster holds."""
        host = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "simulator",
            "contexts": [{"name": "simulator", "context": {"cluster": "simulator", "user": "simulator"}}],
            "clusters": [{"name": "simulator", "cluster": {"server": host}}],
            "users": [{"name": "simulator", "user": {}}],
        }

    def _control(self) -> None:
        while not self.stopped:
            with self.objects.changed:
                self.jobs.sync()
                self.sandboxes.sync()
                scheduling.schedule(self.objects, self.nodes)
                self.kubelet.sync()
                self.objects.changed.wait(SYNC_SECONDS)

    # -- verbs --------------------------------------------------------------

    def create(self, resource: str, namespace: str, body: Object, dry_run: bool = False) -> Object:
        """Validate, admit, fill in, store; in a dry run everything but the last."""
        thing = copy.deepcopy(body)
        thing.pop("status", None)
        thing.setdefault("metadata", {})
        if resource == "events":
            raise ApiError(405, "MethodNotAllowed", "the simulator writes the events")
        validation.check(resource, thing)
        with self.objects.changed:
            if resource != "namespaces":
                thing["metadata"]["namespace"] = namespace
                home = self.objects.get("namespaces", "", namespace)
            validation.fill_in(resource, thing)
            if resource == "pods":
                admit(thing, home)
            if dry_run:
                return thing
            stored = self.objects.add(resource, thing)
            if resource == "jobs":
                validation.own(stored)
            if resource == "namespaces":
                account = {"name": "default", "namespace": stored["metadata"]["name"]}
                self.objects.add("serviceaccounts", {"metadata": account})
            return copy.deepcopy(stored)

    def patch(self, resource: str, namespace: str, name: str, body: Object) -> Object:
        """A merge patch; only fields that may change should be in it."""
        with self.objects.changed:
            thing = self.objects.get(resource, namespace, name)
            _merge(thing, body)
            self.objects.touch(resource, thing)
            return copy.deepcopy(thing)

    def delete(self, resource: str, namespace: str, name: str, options: Object) -> Object:
        """Delete with a propagation policy; a Job's default is Orphan, as on a real server."""
        with self.objects.changed:
            thing = self.objects.get(resource, namespace, name)
            if resource == "pods":
                grace = options.get("gracePeriodSeconds")
                delete_pod(self.objects, thing, None if grace is None else float(grace))
                return copy.deepcopy(thing)
            policy = options.get("propagationPolicy", "Orphan" if resource == "jobs" else "Background")
            uid = thing["metadata"]["uid"]
            thing["metadata"].setdefault("deletionTimestamp", now())
            if resource == "jobs" and policy == "Foreground":
                thing["metadata"]["finalizers"] = [FOREGROUND]
            self.objects.release(resource, thing)
            if resource == "jobs" and policy == "Background":
                for pod in self.objects.find("pods", namespace, lambda p: _owned(p, uid)):
                    delete_pod(self.objects, pod)
            return copy.deepcopy(thing)

    def evict(self, namespace: str, name: str) -> None:
        """The eviction subresource: mark the pod as disrupted, then delete it with its grace period."""
        with self.objects.changed:
            pod = self.objects.get("pods", namespace, name)
            if "deletionTimestamp" in pod["metadata"]:
                return
            condition(pod, "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting")
            self.objects.touch("pods", pod)
            delete_pod(self.objects, pod)

    def add_namespace(self, name: str) -> None:
        """A namespace that enforces PodSecurity `restricted`."""
        self.create("namespaces", "", {"metadata": {"name": name, "labels": {LABEL: "restricted"}}})


def _owned(thing: Object, uid: str) -> bool:
    return any(o["uid"] == uid for o in thing["metadata"].get("ownerReferences", []))


def _merge(into: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
