"""PodSecurity admission at the level `restricted`, with the server's words."""

from __future__ import annotations

from collections.abc import Iterator

from cpp_pipeline_tests.cluster.objects import ApiError, Object

LABEL = "pod-security.kubernetes.io/enforce"
VOLUMES = {
    "name",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def admit(pod: Object, namespace: Object) -> None:
    """Refuse a pod that its namespace does not allow.

    Raises
    ------
    ApiError
        403, which names every rule that is broken.
    """
    if namespace["metadata"].get("labels", {}).get(LABEL) != "restricted":
        return
    broken = list(violations(pod["spec"]))
    if broken:
        name = pod["metadata"].get("name", pod["metadata"].get("generateName", ""))
        message = f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": ' + ", ".join(broken)
        raise ApiError(403, "Forbidden", message)


def violations(spec: Object) -> Iterator[str]:
    """The rules of the level that a pod spec breaks."""
    whole = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"host namespaces ({field}=true)"
    for volume in spec.get("volumes", []):
        if not volume.keys() <= VOLUMES:
            yield f'restricted volume types (volume "{volume["name"]}" uses a restricted volume type)'
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        name = f'container "{container["name"]}"'
        if own.get("privileged"):
            yield f"privileged ({name} must not set securityContext.privileged=true)"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"allowPrivilegeEscalation != false ({name} must set securityContext.allowPrivilegeEscalation=false)"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f'unrestricted capabilities ({name} must set securityContext.capabilities.drop=["ALL"])'
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
            yield f"runAsNonRoot != true (pod or {name} must set securityContext.runAsNonRoot=true)"
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            yield f"runAsUser=0 ({name} must not set runAsUser=0)"
        profile = own.get("seccompProfile", whole.get("seccompProfile", {})).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            wanted = '"RuntimeDefault" or "Localhost"'
            yield f"seccompProfile (pod or {name} must set securityContext.seccompProfile.type to {wanted})"
