"""From a request to the objects that carry it out, as plain dicts.

Pure functions: the same request gives the same bytes, so that what is rendered is what is run. Every Job fits a
namespace that enforces PodSecurity `restricted`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cpp_pipeline.launch.k8s.pods import (
    SCRATCH,
    SCRATCH_ENV,
    container_security,
    gpu_env,
    placement,
    pod_security,
    require_digest,
    resources,
)
from cpp_pipeline.launch.k8s.shapes import Shape

Manifest = dict[str, Any]
CONTAINER = "main"
OWN = {"app.kubernetes.io/name": "cpp-pipeline"}
"""Label of the Jobs of commands that load a model; those that Dagster makes have another one."""
TORCHRUN = ("python", "-m", "cpp_pipeline.launch.k8s.torchrun")
RENDEZVOUS_PORT = 29400
NAME_LENGTH = 52
"""A pod's host name is the Job's name with the index, in 63 characters."""
DO_NOT_RETRY = (2, 42)
"""Exit codes after which another attempt would end the same: wrong flags, and that of `remote_entry`."""
STOPPED = 143
"""Exit code of a process that was told to save and end; of several nodes all end so when one is told to."""


@dataclass(frozen=True)
class JobRequest:
    """One command on machines of one shape."""

    name: str
    namespace: str
    image: str
    command: Sequence[str]
    shape: Shape
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Environment variable -> (Secret, key)."""
    service_account: str = ""
    queue: str = ""
    """A Kueue LocalQueue; Kueue then suspends and admits the Job."""
    parts: int = 0
    """Independent parts of the work, one pod each, side by side; 0 for work that is one piece."""
    backoff_limit: int = 3
    """Failures that are no disruption, after which the Job (or the part) has failed."""
    grace_seconds: int = 15
    """What GKE leaves a Spot pod, by default."""
    deadline_seconds: int = 7 * 24 * 3600
    ttl_seconds: int = 2 * 24 * 3600


def worker_command(module: str, flags: Sequence[str], shape: Shape, job: str) -> list[str]:
    """How a module is started inside a pod: alone, or by torchrun with one process a GPU."""
    if shape.nodes > 1:
        rendezvous = [
            "--node=$(JOB_COMPLETION_INDEX)",
            f"--nnodes={shape.nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={job}-0.{job}:{RENDEZVOUS_PORT}",
            f"--rdzv-id={job}",
            # ranks go by these names, in the order of text: the node of index 0, which keeps the output, is the first
            f"--local-addr={job}-$(JOB_COMPLETION_INDEX).{job}",
        ]
        return [*TORCHRUN, *rendezvous, f"--nproc-per-node={max(1, shape.gpus)}", "-m", module, *flags]
    if shape.gpus > 1:
        return [*TORCHRUN, "--standalone", f"--nproc-per-node={shape.gpus}", "-m", module, *flags]
    return ["python", "-m", module, *flags]


def manifests(request: JobRequest) -> list[Manifest]:
    """The Job, and for several nodes the Service by which they find each other.

    Raises
    ------
    ValueError
        The image is not named by digest, or the name is too long.
    """
    return [job_manifest(request), *([service_manifest(request)] if request.shape.nodes > 1 else [])]


def job_manifest(request: JobRequest) -> Manifest:
    """The `batch/v1` Job."""
    require_digest(request.image)
    if not re.fullmatch(rf"[a-z]([-a-z0-9]{{0,{NAME_LENGTH - 2}}}[a-z0-9])?", request.name):
        raise ValueError(f"{request.name!r} is no name for a Job: a DNS label of at most {NAME_LENGTH} characters")
    labels = {**OWN, **request.labels}
    own = {"kueue.x-k8s.io/queue-name": request.queue} if request.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": request.name,
            "namespace": request.namespace,
            "labels": {**labels, **own},
            "annotations": dict(request.annotations),
        },
        "spec": {
            **_completions(request),
            "activeDeadlineSeconds": request.deadline_seconds,
            "ttlSecondsAfterFinished": request.ttl_seconds,
            # a pod that is ending still writes: its successor starts when it has ended
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules(request)},
            "template": {"metadata": {"labels": labels}, "spec": _pod(request)},
        },
    }


def service_manifest(request: JobRequest) -> Manifest:
    """The headless Service that gives the pods of several nodes their host names."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": request.name,
            "namespace": request.namespace,
            "labels": {**OWN, **request.labels},
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": request.name},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }


def with_env(job: Manifest, env: Mapping[str, str]) -> Manifest:
    """The same Job with more environment variables."""
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    more = [{"name": k, "value": v} for k, v in sorted(env.items())]
    container = {**container, "env": [*container["env"], *more]}
    template = {**job["spec"]["template"], "spec": {**pod, "containers": [container]}}
    return {**job, "spec": {**job["spec"], "template": template}}


def _completions(request: JobRequest) -> Manifest:
    if request.parts:
        return {
            "completionMode": "Indexed",
            "completions": request.parts,
            "parallelism": request.parts,
            "backoffLimitPerIndex": request.backoff_limit,
            "maxFailedIndexes": 0,
        }
    if request.shape.nodes > 1:
        nodes = request.shape.nodes
        limit = {"backoffLimit": request.backoff_limit * nodes}
        return {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes, **limit}
    return {"completions": 1, "parallelism": 1, "backoffLimit": request.backoff_limit}


def _failure_rules(request: JobRequest) -> list[Manifest]:
    rules = [
        _on_codes("FailJob", *DO_NOT_RETRY),
        # eviction, preemption, a node that goes: no failure of the command
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    # one node's disruption ends the others too, and their pods have no condition that says so
    return [*rules, _on_codes("Ignore", STOPPED)] if request.shape.nodes > 1 else rules


def _on_codes(action: str, *codes: int) -> Manifest:
    return {"action": action, "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": list(codes)}}


def _pod(request: JobRequest) -> Manifest:
    shape = request.shape
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": request.grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"serviceAccountName": request.service_account} if request.service_account else {}),
        **({"subdomain": request.name} if shape.nodes > 1 else {}),
        **placement(shape),
        "securityContext": pod_security(),
        "containers": [_container(request)],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": shape.disk}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shape.shm}},
        ],
    }


def _container(request: JobRequest) -> Manifest:
    shape = request.shape
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    env: list[Manifest] = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    env += [{"name": k, "value": v} for k, v in {**SCRATCH_ENV, **offline, **gpu_env(shape), **request.env}.items()]
    for name, (secret, key) in sorted(request.secrets.items()):
        env.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return {
        "name": CONTAINER,
        "image": request.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(request.command),
        "env": env,
        "resources": resources(shape),
        "securityContext": container_security(),
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
