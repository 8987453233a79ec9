"""What the API server refuses, and the values that it fills in.

Belongs here: the schema (kubernetes-validate), the rules beyond it that the project could break, defaults.
Not here: PodSecurity (`podsecurity`), which is admission.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import kubernetes_validate

from cpp_pipeline_tests.cluster import crds
from cpp_pipeline_tests.cluster.objects import KINDS, ApiError, Object

VERSION = "1.36"
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|e\d+)?")
UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
UNITS |= {f"{u}i": 1024.0 ** (n + 1) for n, u in enumerate("KMGTP")}
Problem = tuple[str, str]


def quantity(text: Any) -> float:
    """The number that a Kubernetes quantity stands for."""
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def check(resource: str, thing: Object) -> None:
    """Refuse what a server would refuse.

    Raises
    ------
    ApiError
        400 for what cannot be decoded, 422 for what breaks a rule.
    """
    kind, version = KINDS[resource]
    if crds.known(resource):
        crds.check(resource, thing)
        return
    try:
        kubernetes_validate.validate({"apiVersion": version, "kind": kind, **thing}, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(str(p) for p in error.path)
        raise ApiError(
            400, "BadRequest", f"{kind} in version {version!r} cannot be handled: {place}: {error.message}"
        ) from error
    for place, text in _quantities(thing):
        if not QUANTITY.fullmatch(text):
            raise ApiError(400, "BadRequest", f"{place}: quantities must match the regular expression, got {text!r}")
    problems = list(_meta(resource, thing["metadata"]))
    if resource == "jobs":
        problems += _job(thing["spec"])
    if resource == "pods":
        problems += _pod("spec", thing["spec"])
    if problems:
        name = thing["metadata"].get("name", thing["metadata"].get("generateName", ""))
        listed = ", ".join(f"{place}: {what}" for place, what in problems)
        raise ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}')


def _meta(resource: str, meta: Object) -> Iterator[Problem]:
    name = meta.get("name", meta.get("generateName", "") + "x")
    shape = DNS_LABEL if resource in ("services", "namespaces", "jobs") else DNS_NAME
    if not shape.fullmatch(name):
        yield "metadata.name", f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is needed'
    for key, value in meta.get("labels", {}).items():
        if not LABEL_KEY.fullmatch(key):
            yield "metadata.labels", f'Invalid value: "{key}": name part must consist of alphanumeric characters'
        if not LABEL_VALUE.fullmatch(value):
            yield "metadata.labels", f'Invalid value: "{value}": must be 63 characters or less and alphanumeric'


def _job(spec: Object) -> Iterator[Problem]:
    pod = spec["template"]["spec"]
    indexed = spec.get("completionMode", "NonIndexed") == "Indexed"
    yield from _meta("pods", {"name": "x", **spec["template"].get("metadata", {})})
    yield from _pod("spec.template.spec", pod)
    for field in ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        if spec.get(field, 0) < 0:
            yield f"spec.{field}", f"Invalid value: {spec[field]}: must be greater than or equal to 0"
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield "spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"'
    yield from _one_of("spec.completionMode", spec.get("completionMode"), "NonIndexed", "Indexed")
    yield from _one_of("spec.podReplacementPolicy", spec.get("podReplacementPolicy"), "TerminatingOrFailed", "Failed")
    if indexed and "completions" not in spec:
        yield "spec.completions", "Required value: when completion mode is Indexed"
    if not indexed and {"backoffLimitPerIndex", "maxFailedIndexes"} & spec.keys():
        yield "spec.backoffLimitPerIndex", "Invalid value: requires indexed completion mode"
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield "spec.backoffLimitPerIndex", "Required value: when maxFailedIndexes is specified"
    if "podFailurePolicy" in spec:
        if pod.get("restartPolicy") != "Never":
            yield (
                "spec.template.spec.restartPolicy",
                "Invalid value: only Never is supported when podFailurePolicy is specified",
            )
        if spec.get("podReplacementPolicy", "Failed") != "Failed":
            yield (
                "spec.podReplacementPolicy",
                "Invalid value: only Failed is supported when podFailurePolicy is specified",
            )
        for number, rule in enumerate(spec["podFailurePolicy"]["rules"]):
            yield from _rule(f"spec.podFailurePolicy.rules[{number}]", rule, spec)


def _rule(place: str, rule: Object, spec: Object) -> Iterator[Problem]:
    yield from _one_of(f"{place}.action", rule.get("action", ""), "Count", "FailIndex", "FailJob", "Ignore")
    if rule.get("action") == "FailIndex" and "backoffLimitPerIndex" not in spec:
        yield f"{place}.action", 'Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'
    if ("onExitCodes" in rule) == bool(rule.get("onPodConditions")):
        yield place, "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
    codes = rule.get("onExitCodes", {})
    if codes:
        yield from _one_of(f"{place}.onExitCodes.operator", codes["operator"], "In", "NotIn")
        if codes["values"] != sorted(set(codes["values"])):
            yield f"{place}.onExitCodes.values", "Invalid value: must be ordered and without duplicates"
        if codes["operator"] == "In" and 0 in codes["values"]:
            yield f"{place}.onExitCodes.values", "Invalid value: 0: must not be 0 for the In operator"


def _pod(place: str, spec: Object) -> Iterator[Problem]:
    yield from _one_of(f"{place}.restartPolicy", spec.get("restartPolicy"), "Always", "OnFailure", "Never")
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        yield f"{place}.terminationGracePeriodSeconds", "Invalid value: must be greater than or equal to 0"
    volumes = {v["name"] for v in spec.get("volumes", [])}
    for number, container in enumerate(spec["containers"]):
        at = f"{place}.containers[{number}]"
        if not container.get("image"):
            yield f"{at}.image", "Required value"
        if not DNS_LABEL.fullmatch(container["name"]):
            yield f"{at}.name", f'Invalid value: "{container["name"]}": a lowercase RFC 1123 label is needed'
        yield from _one_of(f"{at}.imagePullPolicy", container.get("imagePullPolicy"), "Always", "IfNotPresent", "Never")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{at}.volumeMounts[0].name", f'Not found: "{mount["name"]}"'
        limits = container.get("resources", {}).get("limits", {})
        for key, asked in container.get("resources", {}).get("requests", {}).items():
            if key in limits and quantity(asked) > quantity(limits[key]):
                yield f"{at}.resources.requests", f'Invalid value: "{asked}": must be less than or equal to {key} limit'
            if key == "nvidia.com/gpu" and limits.get(key) != asked:
                yield f"{at}.resources.requests", f"Invalid value: must be equal to {key} limit"


def _one_of(place: str, value: Any, *allowed: str) -> Iterator[Problem]:
    if value is not None and value not in allowed:
        listed = ", ".join(f'"{a}"' for a in sorted(allowed))
        yield place, f'Unsupported value: "{value}": supported values: {listed}'


def _quantities(thing: Object) -> Iterator[tuple[str, str]]:
    pod = thing.get("spec", {}).get("template", thing).get("spec", {})
    for container in pod.get("containers", []):
        for kind in ("requests", "limits"):
            for key, value in container.get("resources", {}).get(kind, {}).items():
                yield f"{kind}.{key}", str(value)
    for volume in pod.get("volumes", []):
        if "sizeLimit" in volume.get("emptyDir", {}):
            yield "sizeLimit", str(volume["emptyDir"]["sizeLimit"])


def fill_in(resource: str, thing: Object) -> None:
    """The defaults that the project could see."""
    if crds.known(resource):
        thing.setdefault("status", {})
    if resource == "jobs":
        spec = thing["spec"]
        indexed = spec.setdefault("completionMode", "NonIndexed") == "Indexed"
        spec.setdefault("parallelism", 1)
        spec.setdefault("completions", 1)
        spec.setdefault("backoffLimit", 2**31 - 1 if indexed and "backoffLimitPerIndex" in spec else 6)
        spec.setdefault("suspend", False)
        spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
        _pod_defaults(spec["template"]["spec"])
        thing["status"] = {}
    if resource == "pods":
        _pod_defaults(thing["spec"])
        thing["status"] = {"phase": "Pending", "qosClass": "Burstable"}


def own(job: Object) -> None:
    """The selector and labels that tie pods to their Job; known once it has a uid."""
    meta, template = job["metadata"], job["spec"]["template"].setdefault("metadata", {})
    uid = meta.setdefault("uid", str(uuid.uuid4()))
    labels = {"controller-uid": uid, "job-name": meta["name"]}
    labels |= {f"batch.kubernetes.io/{k}": v for k, v in labels.items()}
    job["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    template["labels"] = {**template.get("labels", {}), **labels}


def _pod_defaults(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    for container in spec["containers"]:
        resources = container.setdefault("resources", {})
        if "limits" in resources:
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
