"""A warm pool whose pods answer as a judge does, without compiling anything."""

from __future__ import annotations

import os
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.manifests import SECURE

GROUP, VERSION = "extensions.agents.x-k8s.io", "v1beta1"
PORT = 8080
NAME = "judges"
# every job is an AC whose output names the pod; "die" and "die POD" end the process, "slow" takes a second
JUDGE = """
import http.server, json, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        about = {"isolation": {"backend": "pretended", "level": "none"}, "workers": 1, "reason": ""}
        self.answer(json.dumps(about).encode())
    def do_POST(self):
        jobs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["jobs"]
        lines = []
        for job in jobs:
            if job["code"] in ("die", "die " + os.environ["POD_NAME"]): os._exit(1)
            if job["code"] == "slow": time.sleep(1)
            line = {"id": job["id"], "verdict": "AC", "compile_ok": True, "tests_passed": 1, "tests_total": 1}
            lines.append(json.dumps({**line, "stdout": os.environ["POD_NAME"]}))
        self.answer(("\\n".join(lines) + "\\n").encode())
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def template(image: str, starts_seconds: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A SandboxTemplate with one container that runs `JUDGE`, after a while."""
    fields = {"POD_NAME": "metadata.name", "POD_IP": "status.podIP"}
    container = {
        "name": "judge",
        "image": image,
        "command": ["python", "-c", f"import time; time.sleep({starts_seconds})\n{JUDGE}"],
        "env": [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in fields.items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
        "securityContext": SECURE,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "SandboxTemplate",
        "metadata": {"name": NAME},
        "spec": {"podTemplate": {"spec": pod}, **changes},
    }


def warm_pool(replicas: int) -> dict[str, Any]:
    """The SandboxWarmPool of `template`."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "SandboxWarmPool",
        "metadata": {"name": NAME},
        "spec": {"replicas": replicas, "sandboxTemplateRef": {"name": NAME}},
    }


def create(cluster: Cluster, plural: str, body: dict[str, Any]) -> Any:
    """Make an object of Agent Sandbox; skips where a real cluster does not have it."""
    try:
        return client.CustomObjectsApi(cluster.api).create_namespaced_custom_object(
            GROUP, VERSION, cluster.namespace, plural, body
        )
    except ApiException as error:
        if cluster.simulator is None and error.status == 404:
            pytest.skip(f"Agent Sandbox ({GROUP}/{VERSION}) is not installed in this cluster")
        raise


def need_pod_network(cluster: Cluster) -> None:
    """Skip where the test itself cannot talk to pods, as the controller does."""
    if cluster.simulator is None and not os.environ.get("CLUSTER_PODS_REACHABLE"):
        pytest.skip("CLUSTER_PODS_REACHABLE=1 is not set: this machine has no way to the addresses of the pods")


def listed(cluster: Cluster, plural: str) -> list[Any]:
    """Objects of a kind of Agent Sandbox."""
    group = GROUP if plural != "sandboxes" else GROUP.removeprefix("extensions.")
    found = client.CustomObjectsApi(cluster.api).list_namespaced_custom_object(
        group, VERSION, cluster.namespace, plural
    )
    return list(found["items"])


def make_pool(cluster: Cluster, replicas: int = 1, image: str = "", starts_seconds: float = 0.0) -> None:
    """Template and pool."""
    create(cluster, "sandboxtemplates", template(image or cluster.image, starts_seconds))
    create(cluster, "sandboxwarmpools", warm_pool(replicas))
