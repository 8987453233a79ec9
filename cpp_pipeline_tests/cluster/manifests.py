"""Small Jobs and pods for the tests of the simulator."""

from __future__ import annotations

from typing import Any

SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
PATIENT = (
    "import signal,sys,time; signal.signal(15, lambda *a: sys.exit(143)); print('ready', flush=True); time.sleep(60)"
)
"""A program that ends with 143 on SIGTERM."""


def pod_spec(image: str, code: str, **changes: Any) -> dict[str, Any]:
    """A pod spec that runs Python code under `restricted`."""
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", code],
        "securityContext": SECURE,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [container], **changes}


def job(name: str, pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Job around a pod spec."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"test": "yes"}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}, **spec},
    }
