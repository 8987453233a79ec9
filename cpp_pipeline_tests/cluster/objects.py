"""The objects of the simulated cluster and their history, as etcd and the watch cache keep them.

Belongs here: resource versions, selectors, finalizers, waiting for changes. Not here: what a kind means.
"""

from __future__ import annotations

import copy
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
KINDS = {
    "jobs": ("Job", "batch/v1"),
    "pods": ("Pod", "v1"),
    "events": ("Event", "v1"),
    "services": ("Service", "v1"),
    "namespaces": ("Namespace", "v1"),
    "serviceaccounts": ("ServiceAccount", "v1"),
    "sandboxes": ("Sandbox", "agents.x-k8s.io/v1beta1"),
    "sandboxclaims": ("SandboxClaim", "extensions.agents.x-k8s.io/v1beta1"),
    "sandboxtemplates": ("SandboxTemplate", "extensions.agents.x-k8s.io/v1beta1"),
    "sandboxwarmpools": ("SandboxWarmPool", "extensions.agents.x-k8s.io/v1beta1"),
}
HISTORY = 4000


class ApiError(Exception):
    """A refusal, as a `Status` object tells it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Object:
        """The body of the answer."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(frozen=True)
class Change:
    """One line of the history: ADDED, MODIFIED or DELETED, with the object as it was then."""

    version: int
    type: str
    resource: str
    object: Object


def now() -> str:
    """This second, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(labels: Object, selector: str) -> bool:
    """Whether labels fit a selector of the forms `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`."""
    for term in (t.strip() for t in re.findall(r"[^,(]+(?:\([^)]*\))?", selector)):
        if inside := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
            found = labels.get(inside[1]) in [v.strip() for v in inside[3].split(",")]
            if found != (inside[2] == "in"):
                return False
        elif "!=" in term:
            key, value = term.split("!=")
            if labels.get(key.strip()) == value.strip():
                return False
        elif "=" in term:
            key, value = term.replace("==", "=").split("=")
            if labels.get(key.strip()) != value.strip():
                return False
        elif (term.lstrip("!") in labels) == term.startswith("!"):
            return False
    return True


def has_fields(thing: Object, selector: str) -> bool:
    """Whether an object's fields, named by dotted paths, have the values of a field selector."""
    for term in filter(None, selector.split(",")):
        path, value = term.replace("==", "=").split("=")
        found: Any = thing
        for part in path.split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        if str(found) != value:
            return False
    return True


def condition(thing: Object, kind: str, status: str, reason: str = "", message: str = "") -> bool:
    """Set a condition of an object's status; True when this changed it."""
    found = thing.setdefault("status", {}).setdefault("conditions", [])
    wanted = {"type": kind, "status": status, **({"reason": reason, "message": message} if reason else {})}
    for old in found:
        if old["type"] == kind:
            if {k: old.get(k) for k in wanted} == wanted:
                return False
            found.remove(old)
            break
    found.append({**wanted, "lastProbeTime": now(), "lastTransitionTime": now()})
    return True


def has_condition(thing: Object, kind: str) -> bool:
    """Whether a condition of this type is True."""
    return any(c["type"] == kind and c["status"] == "True" for c in thing.get("status", {}).get("conditions", []))


class Objects:
    """All objects of a cluster; one lock, held by whoever changes something."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.history: list[Change] = []
        self.oldest = 0
        self.version = 0
        self._found: dict[tuple[str, str, str], Object] = {}

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """The object itself; change it under the lock only and then `touch` it."""
        try:
            return self._found[resource, namespace, name]
        except KeyError:
            raise ApiError(404, "NotFound", f'{qualified(resource)} "{name}" not found') from None

    def find(
        self, resource: str, namespace: str | None, keep: Callable[[Object], bool] = lambda _: True
    ) -> list[Object]:
        """Objects of a kind, of all namespaces when None, in the order of their names."""
        with self.changed:
            found = sorted(self._found.items())
            return [o for (r, n, _), o in found if r == resource and namespace in (None, n) and keep(o)]

    def add(self, resource: str, thing: Object) -> Object:
        """Create an object with the metadata that the server fills in."""
        with self.changed:
            meta = thing["metadata"]
            if "name" not in meta:
                meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
            key = (resource, meta.get("namespace", ""), meta["name"])
            if key in self._found:
                raise ApiError(409, "AlreadyExists", f'{qualified(resource)} "{meta["name"]}" already exists')
            thing["kind"], thing["apiVersion"] = KINDS[resource]
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
            self._found[key] = thing
            self._note("ADDED", resource, thing)
            return thing

    def touch(self, resource: str, thing: Object) -> None:
        """Note that an object changed."""
        with self.changed:
            self._note("MODIFIED", resource, thing)

    def release(self, resource: str, thing: Object) -> None:
        """Note a change after which an object that awaits its deletion may be without finalizers, and so goes."""
        with self.changed:
            meta = thing["metadata"]
            gone = meta.get("deletionTimestamp") and not meta.get("finalizers") and self._ended(resource, thing)
            if gone:
                self._found.pop((resource, meta.get("namespace", ""), meta["name"]), None)
            self._note("DELETED" if gone else "MODIFIED", resource, thing)

    @staticmethod
    def _ended(resource: str, thing: Object) -> bool:
        return resource != "pods" or thing["status"].get("phase") in ("Succeeded", "Failed")

    def _note(self, kind: str, resource: str, thing: Object) -> None:
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        self.history.append(Change(self.version, kind, resource, copy.deepcopy(thing)))
        if len(self.history) > HISTORY:
            self.forget(HISTORY // 2)
        self.changed.notify_all()

    def forget(self, keep: int = 0) -> None:
        """Drop old history, as compaction does: who watches from there gets 410."""
        with self.changed:
            if len(self.history) > keep:
                self.oldest = self.history[-1 - keep].version
                self.history = self.history[len(self.history) - keep :]

    def follow(self, version: int, until: Callable[[], bool]) -> Iterator[Change | None]:
        """Changes after `version`; None whenever nothing came for a moment.

        Raises
        ------
        ApiError
            410 when the history does not reach back that far.
        """
        while not until():
            with self.changed:
                if version < self.oldest:
                    message = f"too old resource version: {version} ({self.oldest})"
                    raise ApiError(410, "Expired", message)
                fresh = [c for c in self.history if c.version > version]
                if not fresh:
                    self.changed.wait(0.1)
            if not fresh:
                yield None
            for change in fresh:
                version = change.version
                yield change

    def event(self, kind: str, thing: Object, reason: str, message: str) -> None:
        """Record an event about an object; the same one again only raises its count."""
        with self.changed:
            meta = thing["metadata"]
            same = (meta["uid"], reason, message)
            for old in self.find("events", meta["namespace"]):
                if (old["involvedObject"]["uid"], old["reason"], old["message"]) == same:
                    old["count"], old["lastTimestamp"] = old["count"] + 1, now()
                    self.touch("events", old)
                    return
            resource = next(name for name, (known, _) in KINDS.items() if known == thing["kind"])
            about = {"kind": thing["kind"], "apiVersion": KINDS[resource][1], "namespace": meta["namespace"]}
            self.add(
                "events",
                {
                    "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
                    "involvedObject": {**about, "name": meta["name"], "uid": meta["uid"]},
                    "type": kind,
                    "reason": reason,
                    "message": message,
                    "count": 1,
                    "firstTimestamp": now(),
                    "lastTimestamp": now(),
                    "source": {"component": "simulator"},
                },
            )


def qualified(resource: str) -> str:
    """A resource with its group, as messages of the server name it."""
    group = group_of(resource)
    return f"{resource}.{group}" if group else resource


def group_of(resource: str) -> str:
    """The API group of a resource; empty for the core's."""
    return KINDS[resource][1].rpartition("/")[0]
