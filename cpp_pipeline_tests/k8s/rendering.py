"""The overlays as kustomize builds them, and what is looked up in them."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
PROJECT = Path(__file__).resolve().parents[2]
MANIFESTS = PROJECT / "k8s"
OVERLAYS = ("local", "gke-spot", "gke-ondemand")
DIGEST = "@sha256:" + "a" * 64
NAMESPACES = ("cpp-pipeline", "cpp-pipeline-sandbox")


def kustomize() -> list[str]:
    """The command that builds a folder; skips the test where there is none."""
    found = shutil.which("kustomize") or shutil.which("kustomize", path=str(Path(sys.executable).parent))
    if found:
        return [found, "build"]
    kubectl = shutil.which("kubectl")
    if kubectl and not subprocess.run([kubectl, "kustomize", "--help"], capture_output=True, check=False).returncode:
        return [kubectl, "kustomize"]
    pytest.skip("neither kustomize nor kubectl is here; scripts/kustomize FOLDER fetches one")


def build(folder: Path) -> str:
    """What kustomize prints for a folder."""
    done = subprocess.run([*kustomize(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return done.stdout


@functools.cache
def overlay(name: str) -> str:
    """An overlay as the repository has it."""
    return build(MANIFESTS / "overlays" / name)


@functools.cache
def overlay_objects(name: str) -> list[Object]:
    """Its objects, which no test changes."""
    return objects(overlay(name))


def objects(text: str) -> list[Object]:
    """The objects of a YAML text."""
    return [found for found in yaml.safe_load_all(text) if found]


def of_kind(found: list[Object], kind: str) -> list[Object]:
    """Objects of a kind."""
    return [o for o in found if o["kind"] == kind]


def one(found: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """The object of a kind and name."""
    (single,) = (
        o
        for o in of_kind(found, kind)
        if o["metadata"]["name"] == name and namespace in (None, o["metadata"].get("namespace"))
    )
    return single


def pod_templates(thing: Any, place: str = "") -> Iterator[tuple[str, Object]]:
    """Every pod template in an object, custom resources included: (place, template with metadata and spec)."""
    if isinstance(thing, Mapping):
        spec = thing.get("spec")
        if isinstance(spec, Mapping) and "containers" in spec:
            yield place, dict(thing)
        for key, value in thing.items():
            yield from pod_templates(value, f"{place}.{key}")
    elif isinstance(thing, list):
        for number, value in enumerate(thing):
            yield from pod_templates(value, f"{place}[{number}]")


def rights(role: Object) -> dict[str, set[str]]:
    """What a Role allows: resource -> verbs."""
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])
    return found
