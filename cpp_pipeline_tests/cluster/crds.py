"""The schemas of Agent Sandbox's own kinds, which its installation brings to a cluster.

They are data beside the repository; without them only what a template cannot do without is looked at.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cpp_pipeline_tests.cluster.objects import KINDS, ApiError, Object, group_of
from cpp_pipeline_tests.public_data import public_path

FOLDER = public_path("agent-sandbox-crds")
SUFFIX = "agents.x-k8s.io"


def known(resource: str) -> bool:
    """Whether a resource is one of Agent Sandbox's."""
    return group_of(resource).endswith(SUFFIX)


def check(resource: str, thing: Object) -> None:
    """Refuse what the schema refuses.

    Raises
    ------
    ApiError
        400 for a field that the schema does not have, 422 for what breaks a rule of it.
    """
    kind, version = KINDS[resource]
    name = thing["metadata"].get("name", "")
    schema = schema_of(resource)
    if schema is None:
        if resource in ("sandboxtemplates", "sandboxes") and not _containers(thing):
            raise ApiError(
                422, "Invalid", f'{kind} "{name}" is invalid: spec.podTemplate.spec.containers: Required value'
            )
        return
    whole = {"apiVersion": version, "kind": kind, **thing}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(whole):
        place = ".".join(str(part) for part in error.path)
        if error.validator == "additionalProperties":
            raise ApiError(
                400, "BadRequest", f"{kind} in version {version!r} cannot be handled: {place}: {error.message}"
            )
        raise ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {place}: {error.message}')


def _containers(thing: Object) -> Any:
    return thing.get("spec", {}).get("podTemplate", {}).get("spec", {}).get("containers")


@functools.cache
def definition_of(path: Path) -> Object:
    """A CustomResourceDefinition, which no caller changes; the loader in C, for some have 400 kB of YAML."""
    found: Object = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    return found


@functools.cache
def schema_of(resource: str) -> Object | None:
    """The schema of a resource with unknown fields closed; None when the data are not there."""
    path = FOLDER / f"{group_of(resource)}_{resource}.yaml"
    if not path.exists():
        return None
    definition = definition_of(path)
    wanted = KINDS[resource][1].rpartition("/")[2]
    version = next(v for v in definition["spec"]["versions"] if v["name"] == wanted)
    schema: Object = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    _close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _close(part)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for part in list(schema.values()):
        _close(part)
