"""Overlays as servers would take them: schemas, PodSecurity, images, rights, and names that fit each other."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cpp_pipeline.launch.k8s.api import RIGHTS
from cpp_pipeline.launch.k8s.check import UNSET, images
from cpp_pipeline.sandbox.pool.claims import RIGHTS as CLAIM_RIGHTS
from cpp_pipeline_tests.cluster import podsecurity, validation
from cpp_pipeline_tests.cluster.crds import definition_of
from cpp_pipeline_tests.k8s.network import matches
from cpp_pipeline_tests.k8s.rendering import (
    MANIFESTS,
    NAMESPACES,
    PROJECT,
    Object,
    of_kind,
    one,
    overlay_objects,
    pod_templates,
    rights,
)

CUSTOM = "agents.x-k8s.io"
VERSIONS = ("1.33", "1.35", "1.37")


def test_every_object_fits_the_schemas_of_kubernetes(manifests: list[Object]) -> None:
    core = [o for o in manifests if CUSTOM not in o["apiVersion"]]
    assert len(core) > 25
    for found in core:
        for version in VERSIONS:
            kubernetes_validate.validate(found, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        broken = one(manifests, "Deployment", "execution-controller")
        kubernetes_validate.validate({**broken, "spec": {**broken["spec"], "replica": 1}}, "1.37", strict=True)


def closed(schema: Any) -> Any:
    """A CRD's schema, with fields that it does not name refused."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and "properties" in schema and not open_ended:
        found["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        found = {"type": ["integer", "string"]}
    return found


def custom_schema(folder: Path, found: Object) -> Any:
    """The schema by which a cluster with agent-sandbox installed would check an object."""
    group, version = found["apiVersion"].split("/")
    definition = definition_of(folder / f"{group}_{found['kind'].lower()}s.yaml")
    (served,) = (v for v in definition["spec"]["versions"] if v["name"] == version and v["served"])
    schema = closed(served["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def test_every_custom_object_fits_its_definition(manifests: list[Object], shared_data: Path) -> None:
    folder = shared_data / "agent-sandbox-crds"
    custom = [o for o in manifests if CUSTOM in o["apiVersion"]]
    assert sorted(o["kind"] for o in custom) == ["SandboxTemplate", "SandboxWarmPool"]
    for found in custom:
        schema = jsonschema.Draft202012Validator(custom_schema(folder, found))
        schema.validate(found)
        with pytest.raises(jsonschema.ValidationError):
            schema.validate({**found, "spec": {**found["spec"], "unknown": 1}})


def test_every_pod_is_a_valid_one_and_fits_restricted(manifests: list[Object]) -> None:
    found = [(o, template) for o in manifests for _, template in pod_templates(o)]
    assert len(found) == 2
    for owner, template in found:
        pod = {"metadata": {"name": "x", **template.get("metadata", {})}, "spec": template["spec"]}
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **pod}, VERSIONS[-1], strict=True)
        named = {**pod["spec"], "containers": [{**c, "image": "x"} for c in pod["spec"]["containers"]]}
        validation.check("pods", {**pod, "spec": {"restartPolicy": "Always", **named}})
        assert list(podsecurity.violations(template["spec"])) == [], owner["metadata"]
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_no_namespace_is_exempt(manifests: list[Object]) -> None:
    declared = {o["metadata"]["name"]: o["metadata"]["labels"] for o in of_kind(manifests, "Namespace")}
    assert set(declared) == set(NAMESPACES)
    assert all(labels[podsecurity.LABEL] == "restricted" for labels in declared.values())
    loose = {o["kind"] for o in manifests if "namespace" not in o["metadata"]}
    assert loose <= {"Namespace", "RuntimeClass"}
    assert {o["metadata"].get("namespace", "cpp-pipeline") for o in manifests} == set(NAMESPACES)
    for kind in ("ResourceQuota", "LimitRange"):
        assert {o["metadata"]["namespace"] for o in of_kind(manifests, kind)} == set(NAMESPACES)


def test_what_is_not_set_can_be_pulled_from_nowhere(manifests: list[Object]) -> None:
    found = {image for o in manifests for _, image in images(o)}
    assert found == {f"image-{UNSET}/cpp-pipeline", f"image-{UNSET}/cpp-pipeline-sandbox"}


def test_rights_are_those_that_the_code_needs(manifests: list[Object]) -> None:
    assert rights(one(manifests, "Role", "runs")) == {resource: set(verbs) for resource, verbs in RIGHTS.items()}
    claims = {resource: set(verbs) for resource, verbs in CLAIM_RIGHTS.items()}
    assert rights(one(manifests, "Role", "execution-controller")) == claims
    assert not of_kind(manifests, "ClusterRole") and not of_kind(manifests, "ClusterRoleBinding")
    for role in of_kind(manifests, "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "pods/exec", "serviceaccounts/token"} & set(rule["resources"])
    accounts = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in of_kind(manifests, "ServiceAccount")}
    for binding in of_kind(manifests, "RoleBinding"):
        assert one(manifests, "Role", binding["roleRef"]["name"], binding["metadata"]["namespace"])
        assert {(s["namespace"], s["name"]) for s in binding["subjects"]} <= accounts
    bound = {s["name"] for o in of_kind(manifests, "RoleBinding") for s in o["subjects"]}
    assert bound == {"runs", "dagster", "execution-controller"}
    silent = {
        o["metadata"]["name"] for o in of_kind(manifests, "ServiceAccount") if "automountServiceAccountToken" in o
    }
    assert silent == {"jobs", "sandbox"}


def test_what_scales_and_protects_the_controller_finds_it(spot: list[Object]) -> None:
    controller = one(spot, "Deployment", "execution-controller")
    labels = controller["spec"]["template"]["metadata"]["labels"]
    autoscaler = one(spot, "HorizontalPodAutoscaler", "execution-controller")["spec"]
    target = autoscaler["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"], target["name"]) == ("apps/v1", "Deployment", "execution-controller")
    assert "replicas" not in controller["spec"]
    budget = one(spot, "PodDisruptionBudget", "execution-controller")["spec"]
    assert matches(budget["selector"], labels) and budget["minAvailable"] < autoscaler["minReplicas"]
    service = one(spot, "Service", "execution-controller")["spec"]
    assert service["selector"].items() <= labels.items()
    (container,) = controller["spec"]["template"]["spec"]["containers"]
    assert service["ports"][0]["targetPort"] in {p["name"] for p in container["ports"]}
    assert one(spot, "ServiceAccount", controller["spec"]["template"]["spec"]["serviceAccountName"])


def test_the_pool_is_of_the_template_and_its_containers_share_a_socket_only(manifests: list[Object]) -> None:
    template = one(manifests, "SandboxTemplate", "cpp-sandbox")["spec"]
    pool = one(manifests, "SandboxWarmPool", "cpp-sandbox")["spec"]
    assert pool["sandboxTemplateRef"]["name"] == "cpp-sandbox" and pool["updateStrategy"]["type"] == "Recreate"
    assert template["networkPolicy"]["egress"] == []
    assert template["envVarsInjectionPolicy"] == template["volumeClaimTemplatesPolicy"] == "Disallowed"
    spec = template["podTemplate"]["spec"]
    assert spec["runtimeClassName"] == "gvisor" and spec["automountServiceAccountToken"] is False
    assert "activeDeadlineSeconds" not in spec and not spec.get("shareProcessNamespace")
    by_name = {c["name"]: c for c in spec["containers"]}
    judge, runner = by_name["judge"], by_name["runner"]
    assert judge["securityContext"]["runAsUser"] != runner["securityContext"]["runAsUser"]
    shared = {m["name"] for m in judge["volumeMounts"]} & {m["name"] for m in runner["volumeMounts"]}
    assert shared == {"socket"}
    assert "ports" not in runner and "env" not in runner


def test_controllers_claim_of_the_pool_that_there_is(manifests: list[Object]) -> None:
    pool = one(manifests, "SandboxWarmPool", "cpp-sandbox")
    (container,) = one(manifests, "Deployment", "execution-controller")["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}
    assert env["SANDBOX_POOL"] == pool["metadata"]["name"]
    assert env["POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


def test_names_that_stand_for_each_other_are_equal(manifests: list[Object]) -> None:
    data = one(manifests, "ConfigMap", "cpp-pipeline")["data"]
    service = one(manifests, "Service", "execution-controller")
    meta, port = service["metadata"], service["spec"]["ports"][0]["port"]
    assert data["SANDBOX_URL"] == f"http://{meta['name']}.{meta['namespace']}.svc:{port}"
    assert one(
        manifests, "ServiceAccount", data["CPP_PIPELINE_K8S_SERVICE_ACCOUNT"], data["CPP_PIPELINE_K8S_NAMESPACE"]
    )
    (image,) = (image for _, image in images(one(manifests, "Deployment", "execution-controller")))
    assert data["CPP_PIPELINE_K8S_IMAGE"] == image


def test_commands_of_the_containers_are_understood(spot: list[Object]) -> None:
    templates = [template for o in spot for _, template in pod_templates(o)]
    containers = [c for template in templates for c in template["spec"]["containers"]]
    assert {c["name"] for c in containers} == {"controller", "judge", "runner"}
    for container in containers:
        python, *rest = [*container["command"], *container.get("args", [])]
        assert python == "python"
        # argparse refuses what stands before --help, and starts nothing
        done = subprocess.run(
            [sys.executable, *rest, "--help"], capture_output=True, text=True, check=False, cwd=PROJECT
        )
        assert done.returncode == 0, done.stderr


def test_probes_ask_for_routes_that_need_no_token(spot: list[Object]) -> None:
    from fastapi.testclient import TestClient

    from cpp_pipeline.sandbox.controller.app import create_app
    from cpp_pipeline.sandbox.controller.service import Service, Trouble
    from cpp_pipeline.sandbox.controller.tokens import Tokens

    service = Service(Trouble("isolation_unavailable", "a test"), Tokens(["t"]))
    client = TestClient(create_app(service))
    (container,) = one(spot, "Deployment", "execution-controller")["spec"]["template"]["spec"]["containers"]
    paths = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert client.get(paths["livenessProbe"]).status_code == client.get(paths["startupProbe"]).status_code == 200
    assert client.get(paths["readinessProbe"]).status_code == 503
    service.close()


def test_scrapers_that_cannot_give_the_token_are_not_invited_and_others_are_told_how(spot: list[Object]) -> None:
    from fastapi.testclient import TestClient

    from cpp_pipeline.sandbox.controller.app import create_app
    from cpp_pipeline.sandbox.controller.service import Service, Trouble
    from cpp_pipeline.sandbox.controller.tokens import Tokens

    template = one(spot, "Deployment", "execution-controller")["spec"]["template"]
    assert "annotations" not in template["metadata"]
    (block,) = re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / "operations.md").read_text(), re.DOTALL)
    monitor = yaml.safe_load(block)
    assert matches(monitor["spec"]["selector"], template["metadata"]["labels"])
    assert monitor["metadata"]["namespace"] == "cpp-pipeline-sandbox"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (container,) = template["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    (volume,) = (v["secret"] for v in template["spec"]["volumes"] if "secret" in v)
    given = endpoint["authorization"]["credentials"]
    assert given == {"name": volume["secretName"], "key": volume["items"][0]["key"]}
    service = Service(Trouble("isolation_unavailable", "a test"), Tokens(["t"]))
    client = TestClient(create_app(service))
    assert client.get(endpoint["path"]).status_code == 401
    assert client.get(endpoint["path"], headers={"Authorization": "Bearer t"}).status_code == 200
    service.close()


def test_overlays_differ_where_they_should() -> None:
    found = {name: overlay_objects(name) for name in ("local", "gke-spot", "gke-ondemand")}
    spot = one(found["gke-spot"], "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["spec"]
    assert spot["nodeSelector"] == {"cloud.google.com/gke-spot": "true"}
    assert (
        "nodeSelector"
        not in one(found["gke-ondemand"], "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["spec"]
    )
    assert one(found["local"], "RuntimeClass", "gvisor") and not of_kind(found["gke-spot"], "RuntimeClass")
    assert one(found["local"], "SandboxWarmPool", "cpp-sandbox")["spec"]["replicas"] == 2
    shapes = {name: one(o, "ConfigMap", "cpp-pipeline")["data"]["CPP_PIPELINE_K8S_SHAPE"] for name, o in found.items()}
    assert shapes["gke-spot"].endswith("+spot") and not any(
        s.endswith("spot") for n, s in shapes.items() if n != "gke-spot"
    )
    assert MANIFESTS.is_dir()
