"""The controllers of Agent Sandbox: warm pools, sandboxes, claims, as far as the project uses them."""

from __future__ import annotations

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

from cpp_pipeline_tests.cluster.jobs import delete_pod
from cpp_pipeline_tests.cluster.objects import ApiError, Object, Objects, condition, has_condition, now
from cpp_pipeline_tests.cluster.podsecurity import admit
from cpp_pipeline_tests.cluster.validation import fill_in


class SandboxController:
    """One reconciliation of everything a time."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def sync(self) -> None:
        """Bring all objects of these kinds a step further. The caller holds the lock."""
        self._collect_garbage()
        for pool in self.objects.find("sandboxwarmpools", None):
            self._fill(pool)
        for claim in self.objects.find("sandboxclaims", None):
            self._serve(claim)
        for sandbox in self.objects.find("sandboxes", None):
            self._run(sandbox)

    def _collect_garbage(self) -> None:
        """What lost its owner, or has outlived its time, goes."""
        kinds = ("sandboxwarmpools", "sandboxclaims", "sandboxes", "pods")
        alive = {o["metadata"]["uid"] for kind in kinds for o in self.objects.find(kind, None)}
        for resource in ("sandboxclaims", "sandboxes"):
            for thing in self.objects.find(resource, None, lambda o: self._is_over(o, alive)):
                thing["metadata"]["deletionTimestamp"] = now()
                self.objects.release(resource, thing)
        for pod in self.objects.find("pods", None):
            owners = pod["metadata"].get("ownerReferences", [])
            if any(o["kind"] == "Sandbox" and o["uid"] not in alive for o in owners):
                delete_pod(self.objects, pod)

    @staticmethod
    def _is_over(thing: Object, alive: set[str]) -> bool:
        until = thing["spec"].get("lifecycle", {}).get("shutdownTime")
        past = until is not None and datetime.fromisoformat(until) <= datetime.now(UTC)
        owners = thing["metadata"].get("ownerReferences", [])
        return past or any(o["uid"] not in alive for o in owners)

    def _fill(self, pool: Object) -> None:
        """Replace what was claimed."""
        uid, wanted = pool["metadata"]["uid"], pool["spec"].get("replicas", 1)
        own = self._owned(pool, uid)
        for _ in range(wanted - len(own)):
            self._make(pool, f"{pool['metadata']['name']}-{uuid.uuid4().hex[:5]}", pool)
        own = self._owned(pool, uid)
        ready = sum(has_condition(sandbox, "Ready") for sandbox in own)
        counted = {"replicas": len(own), "readyReplicas": ready}
        if counted.items() - pool["status"].items():
            pool["status"] |= counted
            self.objects.touch("sandboxwarmpools", pool)

    def _owned(self, thing: Object, uid: str) -> list[Object]:
        def mine(sandbox: Object) -> bool:
            return any(o["uid"] == uid for o in sandbox["metadata"].get("ownerReferences", []))

        return self.objects.find("sandboxes", thing["metadata"]["namespace"], mine)

    def _make(self, pool: Object, name: str, owner: Object) -> Object | None:
        """A sandbox of a pool's template; None when there is no template."""
        namespace = pool["metadata"]["namespace"]
        try:
            template = self.objects.get("sandboxtemplates", namespace, pool["spec"]["sandboxTemplateRef"]["name"])
        except ApiError:
            return None
        spec = {"podTemplate": copy.deepcopy(template["spec"]["podTemplate"])}
        meta = {"name": name, "namespace": namespace, "ownerReferences": [_reference(owner)]}
        return self.objects.add("sandboxes", {"metadata": meta, "spec": spec, "status": {}})

    def _serve(self, claim: Object) -> None:
        """Bind a claim to a warm sandbox, or to a new one, and tell how that one is."""
        meta = claim["metadata"]
        bound = claim["status"].get("sandbox", {}).get("name")
        if bound is None:
            bound = self._bind(claim)
        if bound is None:
            return
        sandbox = self.objects.get("sandboxes", meta["namespace"], bound)
        ready = has_condition(sandbox, "Ready")
        told = {"name": bound, "podIPs": sandbox["status"].get("podIPs", [])}
        changed = claim["status"].get("sandbox") != told
        claim["status"]["sandbox"] = told
        reason = ("DependenciesReady", "ready") if ready else ("SandboxNotReady", "the pod is not ready")
        if condition(claim, "Ready", "True" if ready else "False", *reason) or changed:
            self.objects.touch("sandboxclaims", claim)

    def _bind(self, claim: Object) -> str | None:
        meta, wanted = claim["metadata"], claim["spec"]["warmPoolRef"]["name"]
        try:
            pool = self.objects.get("sandboxwarmpools", meta["namespace"], wanted)
        except ApiError:
            if condition(claim, "Ready", "False", "WarmPoolNotFound", f'SandboxWarmPool "{wanted}" not found'):
                self.objects.touch("sandboxclaims", claim)
            return None
        warm = [s for s in self._owned(pool, pool["metadata"]["uid"]) if has_condition(s, "Ready")]
        if warm:
            warm[0]["metadata"]["ownerReferences"] = [_reference(claim)]
            self.objects.touch("sandboxes", warm[0])
            return str(warm[0]["metadata"]["name"])
        made = self._make(pool, meta["name"], claim)
        return None if made is None else str(meta["name"])

    def _run(self, sandbox: Object) -> None:
        """A sandbox has one pod of its name; one that is gone is made again."""
        meta = sandbox["metadata"]
        try:
            pod = self.objects.get("pods", meta["namespace"], meta["name"])
        except ApiError:
            template = sandbox["spec"]["podTemplate"]
            pod = {
                "metadata": {
                    "name": meta["name"],
                    "namespace": meta["namespace"],
                    "labels": dict(template.get("metadata", {}).get("labels", {})),
                    "ownerReferences": [_reference(sandbox)],
                },
                "spec": copy.deepcopy(template["spec"]),
            }
            fill_in("pods", pod)
            admit(pod, self.objects.get("namespaces", "", meta["namespace"]))
            self.objects.add("pods", pod)
        ready = has_condition(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]
        ips = [pod["status"]["podIP"]] if "podIP" in pod["status"] else []
        changed = sandbox["status"].get("podIPs", []) != ips
        sandbox["status"]["podIPs"] = ips
        reason = ("DependenciesReady", "ready") if ready else ("DependenciesNotReady", "the pod is not ready")
        if condition(sandbox, "Ready", "True" if ready else "False", *reason) or changed:
            self.objects.touch("sandboxes", sandbox)


def _reference(owner: Object) -> dict[str, Any]:
    meta = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
