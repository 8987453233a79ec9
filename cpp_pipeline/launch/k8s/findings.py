"""What the objects of a Job say: whether it has ended and how, what it waits for, what went wrong.

Pure functions on dicts of the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True)
class End:
    """How a Job ended."""

    succeeded: bool
    reason: str
    message: str


@dataclass(frozen=True)
class PodEnd:
    """How one attempt ended."""

    pod: str
    exit_code: int | None
    reason: str

    def __str__(self) -> str:
        code = "no exit code" if self.exit_code is None else f"exit code {self.exit_code}"
        return f"{self.pod}: {code}, {self.reason}"


def end_of(job: Object) -> End | None:
    """The end that the conditions tell; the counters alone say nothing during a back-off."""
    for found in job.get("status", {}).get("conditions") or []:
        if found["status"] == "True" and found["type"] in ("Complete", "Failed"):
            return End(found["type"] == "Complete", found.get("reason", ""), found.get("message", ""))
    return None


def is_suspended(job: Object) -> bool:
    """Whether something (Kueue) holds the Job back."""
    return bool(job["spec"].get("suspend"))


def has_started(pod: Object) -> bool:
    """Whether its container runs or has run, so that there is a log."""
    return any({"running", "terminated"} & s["state"].keys() for s in _statuses(pod))


def is_running(pod: Object) -> bool:
    """Whether its container runs."""
    return any("running" in s["state"] for s in _statuses(pod))


def lack_image(pods: Iterable[Object]) -> bool:
    """Whether a container cannot start since its image is not to be had."""
    waiting = [s["state"].get("waiting") or {} for pod in pods for s in _statuses(pod)]
    return any(found.get("reason") in _NO_IMAGE for found in waiting)


def has_ended(pod: Object) -> bool:
    """Whether its container has ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def waiting_reasons(pods: Iterable[Object], job_events: Iterable[Object]) -> list[str]:
    """Why no pod runs, in the words of the scheduler, the kubelet or the Job controller."""
    found = []
    for pod in pods:
        for condition in pod.get("status", {}).get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                found.append(f"{condition.get('reason', '')}: {condition.get('message', '')}")
        for status in _statuses(pod):
            waiting = status["state"].get("waiting")
            if waiting:
                found.append(f"{waiting.get('reason', '')}: {waiting.get('message', '')}")
    if not found:
        found = [f"{e['reason']}: {e['message']}" for e in job_events if e["reason"] == "FailedCreate"][-1:]
    return list(dict.fromkeys(found))


def pod_end(pod: Object) -> PodEnd | None:
    """How an attempt ended, or None while it has not."""
    if not has_ended(pod):
        return None
    disrupted = [
        c.get("reason", c["type"])
        for c in pod.get("status", {}).get("conditions") or []
        if c["type"] == "DisruptionTarget" and c["status"] == "True"
    ]
    ended = [s["state"]["terminated"] for s in _statuses(pod) if "terminated" in s["state"]]
    code = int(ended[0]["exitCode"]) if ended else None
    reason = ", ".join([*disrupted, *(e.get("reason", "") for e in ended)]) or pod["status"].get("reason", "no reason")
    return PodEnd(pod["metadata"]["name"], code, reason)


def told(events: Sequence[Object]) -> list[str]:
    """Events as lines."""
    return [f"{e.get('type', '')} {e['reason']}: {e['message']} (x{e.get('count') or 1})" for e in events]


def _statuses(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("containerStatuses") or []
