"""What every pod of the project has: PodSecurity `restricted`, scratch space, the machine that a shape asks for.

Belongs here: fragments of a pod's spec, as plain dicts. Not here: whole Jobs (`manifest`), steps (`executor`).
"""

from __future__ import annotations

import re
from typing import Any

from cpp_pipeline.launch.k8s.shapes import Shape
from cpp_pipeline.settings import Settings

SCRATCH = "/scratch"
SCRATCH_ENV = {"TMPDIR": SCRATCH, "HOME": SCRATCH}
USER = 1000
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
"""Annotations of a pod whose node the cluster's autoscaler is to leave: moved, it would begin again."""
GPUS = Settings.variable("gpus")
_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def is_digest(image: str) -> bool:
    """Whether an image is named by digest, so that it stays the same one."""
    return _DIGEST.fullmatch(image) is not None


def require_digest(image: str) -> None:
    """Refuse an image that may be another one tomorrow, or that nobody has set.

    Raises
    ------
    ValueError
        Names the setting.
    """
    if not is_digest(image):
        raise ValueError(
            f"CPP_PIPELINE_K8S_IMAGE={image!r}: name the image by digest, REPOSITORY@sha256:<64 hex digits>; "
            "only so every attempt runs the same code"
        )


def pod_security() -> dict[str, Any]:
    """`securityContext` of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """`securityContext` of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def resources(shape: Shape) -> dict[str, Any]:
    """`resources` of a container; CPU has no limit, since what others leave is free."""
    gpus = {"nvidia.com/gpu": str(shape.gpus)} if shape.gpus else {}
    requests = {"cpu": shape.cpu, "memory": shape.memory, "ephemeral-storage": shape.disk}
    return {
        "requests": {**requests, **gpus},
        "limits": {"memory": shape.memory, "ephemeral-storage": shape.disk, **gpus},
    }


def gpu_env(shape: Shape) -> dict[str, str]:
    """Environment of a container with GPUs: how many, and where GKE mounts the driver's libraries.

    Only images made from NVIDIA's look there by themselves; elsewhere than on GKE the folder is missing and not missed.
    """
    return {GPUS: str(shape.gpus), "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"} if shape.gpus else {}


def placement(shape: Shape) -> dict[str, Any]:
    """`nodeSelector` and `tolerations` of a pod, where the shape needs them."""
    selector: dict[str, str] = {}
    tolerations: list[dict[str, str]] = []
    if shape.gpus:
        selector["cloud.google.com/gke-accelerator"] = shape.accelerator
        tolerations.append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    if shape.spot:
        spot = "cloud.google.com/gke-spot"
        selector[spot] = "true"
        tolerations.append({"key": spot, "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    return {
        **({"nodeSelector": selector} if selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
    }
