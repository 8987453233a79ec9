"""The scheduler: which node takes a pod, and the message when none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cpp_pipeline_tests.cluster.objects import Object, Objects, condition
from cpp_pipeline_tests.cluster.validation import quantity


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    name: str
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    """Keys of taints with the effect NoSchedule."""
    cpu: str = "16"
    memory: str = "64Gi"

    def total(self) -> dict[str, float]:
        """What its pods may ask for together."""
        return {"cpu": quantity(self.cpu), "memory": quantity(self.memory), "nvidia.com/gpu": float(self.gpus)}


def schedule(objects: Objects, nodes: Sequence[Node]) -> None:
    """Bind every pod that fits somewhere; tell of the others why not. The caller holds the lock."""
    for pod in objects.find("pods", None, lambda p: p["status"]["phase"] == "Pending" and "nodeName" not in p["spec"]):
        if "deletionTimestamp" in pod["metadata"]:
            continue
        reasons = {node.name: _obstacle(objects, pod, node) for node in nodes}
        free = [name for name, reason in reasons.items() if not reason]
        if free:
            pod["spec"]["nodeName"] = free[0]
            condition(pod, "PodScheduled", "True")
            objects.touch("pods", pod)
            objects.event("Normal", pod, "Scheduled", f"Successfully assigned {pod['metadata']['name']} to {free[0]}")
            continue
        message = _message(list(reasons.values()))
        if condition(pod, "PodScheduled", "False", "Unschedulable", message):
            objects.touch("pods", pod)
            objects.event("Warning", pod, "FailedScheduling", message)


def _obstacle(objects: Objects, pod: Object, node: Node) -> str:
    tolerated = {t.get("key", "*") for t in pod["spec"].get("tolerations", [])}
    for taint in node.taints:
        if taint not in tolerated and "*" not in tolerated:
            return f"node(s) had untolerated taint {{{taint}: }}"
    wanted = pod["spec"].get("nodeSelector", {})
    if not wanted.items() <= node.labels.items():
        return "node(s) didn't match Pod's node affinity/selector"
    used: Counter[str] = Counter()
    for other in objects.find("pods", None, lambda p: p["spec"].get("nodeName") == node.name):
        if other["status"]["phase"] in ("Pending", "Running"):
            used.update(_requests(other))
    total = node.total()
    for key, amount in _requests(pod).items():
        if used[key] + amount > total.get(key, 0.0):
            return f"Insufficient {key}"
    return ""


def _requests(pod: Object) -> Counter[str]:
    asked: Counter[str] = Counter()
    for container in pod["spec"]["containers"]:
        for key, amount in container.get("resources", {}).get("requests", {}).items():
            if key in ("cpu", "memory", "nvidia.com/gpu"):
                asked[key] += quantity(amount)  # type: ignore[assignment]
    return asked


def _message(reasons: list[str]) -> str:
    counted = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(reasons).items()))
    nodes = len(reasons)
    helpless = f"{nodes} Preemption is not helpful for scheduling."
    return f"0/{nodes} nodes are available: {counted}. preemption: 0/{nodes} nodes are available: {helpless}"
