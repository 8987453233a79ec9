"""What is left to be set in rendered manifests, told before they reach a cluster.

The overlays of `k8s/` cannot know a user's images and bucket: they hold names under `is-not-set.invalid`, which no
registry and no storage has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import yaml

from cpp_pipeline.launch.k8s.pods import is_digest
from cpp_pipeline.launch.k8s.shapes import SETTING, STEP_SETTING, WATCH_SETTING, shape_for
from cpp_pipeline.settings import Settings

UNSET = "is-not-set.invalid"
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def refuse_unset(text: str, source: str) -> None:
    """Check manifests, as kustomize or Helm print them.

    Raises
    ------
    ValueError
        Every object and field that has to be changed, a line each, with the remedy.
    """
    try:
        objects = [found for found in yaml.safe_load_all(text) if found]
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: no YAML ({error}); did rendering fail?") from error
    if not objects or not all(isinstance(o, Mapping) and "kind" in o for o in objects):
        raise ValueError(f"{source}: no manifests; did rendering fail?")
    problems = [f"{_name(found)}, {problem}" for found in objects for problem in _problems(found)]
    if problems:
        raise ValueError("\n  ".join([f"{source}: not ready for a cluster", *problems]))


def images(thing: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The containers anywhere in an object, custom resources included: (place, image)."""
    for place, value in _within(thing, path):
        if place.rpartition(".")[2] in _CONTAINERS and isinstance(value, list):
            yield from ((f"{place}[{c.get('name')}].image", str(c.get("image", ""))) for c in value)
        yield from images(value, place)


def _problems(found: Mapping[str, Any]) -> Iterator[str]:
    for place, image in images(found):
        if UNSET in image:
            name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
            yield f"{place}: not set; `kustomize edit set image {name}=REPOSITORY@sha256:...`, or a value of Helm"
        elif not is_digest(image):
            yield f"{place}: {image!r} is no digest, and may be another image tomorrow; use REPOSITORY@sha256:..."
    if found["kind"] == "ConfigMap":
        yield from _settings(found.get("data", {}))


def _settings(data: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a ConfigMap that holds the project's environment."""
    known = {Settings.variable(f.name) for f in fields(Settings)}
    own = {name: value for name, value in data.items() if name in known or name.startswith("CPP_PIPELINE_")}
    for name, value in data.items():
        if name in own and name not in known:
            yield f"data.{name}: there is no such setting; see cpp_pipeline/settings.py"
        elif UNSET in value and name != "CPP_PIPELINE_K8S_IMAGE":  # which follows the controller's image
            unset = ", ".join(dict.fromkeys(word for word in value.split() if UNSET in word))
            yield f"data.{name}: {unset} is not set; replace it in settings.yaml of the overlay or in Helm values"
    try:
        settings = Settings.from_env(own)
        shape_for(settings.k8s_shape, "", SETTING)
        shape_for(settings.step_shape, "", STEP_SETTING)
        shape_for(settings.watch_shape, "", WATCH_SETTING)
    except ValueError as error:
        yield f"data: {error}"


def _within(thing: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        yield from ((f"{path}.{key}" if path else str(key), value) for key, value in thing.items())
    elif isinstance(thing, list):
        yield from ((f"{path}[{number}]", value) for number, value in enumerate(thing))


def _name(found: Mapping[str, Any]) -> str:
    return f"{found['kind']} {found.get('metadata', {}).get('name', '')}".strip()
